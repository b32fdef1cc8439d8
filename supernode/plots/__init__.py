"""Pictures: functions that draw on the axes they are given and return them; the only home of matplotlib."""
