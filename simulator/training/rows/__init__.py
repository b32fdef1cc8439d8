"""The arrays that training kernels take, column by column."""
