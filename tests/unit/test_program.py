"""The program of a model against a second count, the rules of thumb of the field, and published closed forms."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import workloads
from simulator import program as columns
from simulator.compute.kernels import causal_context, decode_context
from simulator.program import (
    ACTIVE,
    ATTENTION,
    COLUMNS,
    DENSE_LAYER,
    EVERY_LAYER,
    EXPERT_MATMUL,
    HEAD,
    KIND,
    LAYERS,
    MATMUL,
    MOE_LAYER,
    ROWS,
    SCOPE,
    SHARD,
    TRAFFIC,
    WHOLE,
    WINDOW,
    Experts,
    K,
    LatentAttention,
    N,
    Transformer,
)
from simulator.training.kernels import forward_flops_per_token
from workloads.costs import flops_per_token, last_keys, mean_keys
from workloads.program import Row, count

MODELS = workloads.names("models")


def _is(rows, *kinds):
    return np.isin(rows[:, KIND], kinds)


def _matmul_flops(program):
    """Forward FLOPs of a token in matmuls [1]."""
    rows = program.rows[_is(program.rows, MATMUL, EXPERT_MATMUL)]
    return float((2 * rows[:, N] * rows[:, K] * rows[:, LAYERS] * rows[:, ACTIVE]).sum())


def _attention_flops(program, positions):
    """Forward FLOPs of a token that sees ``positions`` others, or fewer in a window [1]."""
    rows = program.rows[_is(program.rows, ATTENTION)]
    seen = np.where(rows[:, WINDOW] > 0, np.minimum(rows[:, WINDOW], positions), positions)
    return float((2 * (rows[:, N] + rows[:, K]) * seen * rows[:, LAYERS]).sum())


def _weights(program):
    """Matrix elements that the rows hold, every expert counted, the logits' matrix as often as it is used [1]."""
    rows, experts = program.rows, program.model.experts
    elements = rows[:, N] * rows[:, K] * rows[:, LAYERS]
    routed = experts.count if experts else 0
    return float(elements[_is(rows, MATMUL)].sum() + routed * elements[_is(rows, EXPERT_MATMUL)].sum())


def _moe_layers(model):
    """Layers with experts, counted one by one; a prediction module is as the last layer of the model would be [1]."""
    if model.experts is None:
        return 0
    dense, every = model.experts.dense_layers, model.experts.every
    return model.mtp_layers + sum(i >= dense and (i - dense) % every == every - 1 for i in range(model.layers))


def _vectors(model):
    """Every parameter that is no matrix element: norms, biases, sinks [1]; counted apart from the code under test."""
    norm = model.hidden * (2 if model.norm_biases else 1)
    layer = model.norms_per_layer * norm
    if model.latent:
        layer += model.latent.q_rank + model.latent.kv_rank
    elif model.biases != "none":
        layer += (model.heads + 2 * model.kv_heads) * model.head_dim
    if model.biases in ("attention", "all"):
        layer += model.hidden
    layer += 2 * model.head_dim if model.qk_norm else 0
    layer += model.heads if model.attention_sinks else 0
    inner = 2 if model.gated else 1
    biased = model.biases == "all"
    dense = inner * model.ffn + model.hidden if biased else 0
    layers = model.layers + model.mtp_layers
    outside = norm + 3 * norm * model.mtp_layers
    if model.experts is None:
        return outside + layers * (layer + dense)
    experts = model.experts
    moe = experts.count if experts.router_bias else 0
    if biased:
        moe += experts.count * (inner * experts.ffn + model.hidden)
        moe += inner * experts.shared * experts.ffn + model.hidden if experts.shared else 0
    mixed = _moe_layers(model)
    return outside + layers * layer + (layers - mixed) * dense + mixed * moe


@st.composite
def transformers(draw):
    """Any small architecture that the loader would accept."""
    small = st.integers(1, 40)
    layers = draw(st.integers(1, 12))
    kv_heads = draw(st.integers(1, 4))
    window = draw(st.sampled_from([0, 16]))
    latent = experts = None
    if draw(st.booleans()):
        latent = LatentAttention(
            q_rank=draw(st.integers(0, 9)),
            kv_rank=draw(small),
            nope_head=draw(small),
            rope_head=draw(small),
            value_head=draw(small),
        )
    if draw(st.booleans()):
        number, every = draw(st.integers(1, 16)), draw(st.integers(1, min(3, layers)))
        experts = Experts(
            count=number,
            active=draw(st.integers(1, number)),
            ffn=draw(small),
            shared=draw(st.integers(0, 2)),
            dense_layers=draw(st.integers(0, layers - every)),
            every=every,
            router_bias=draw(st.booleans()),
        )
    return Transformer(
        name="any",
        title="any",
        layers=layers,
        hidden=draw(small),
        heads=kv_heads * draw(st.integers(1, 4)),
        kv_heads=kv_heads,
        head_dim=draw(small),
        ffn=draw(small),
        vocab=draw(small),
        context=draw(small),
        gated=draw(st.booleans()),
        tied=draw(st.booleans()),
        learned_positions=draw(st.booleans()),
        biases=draw(st.sampled_from(["none", "attention", "qkv", "all"])),
        norms_per_layer=draw(st.integers(0, 4)),
        norm_biases=draw(st.booleans()),
        qk_norm=draw(st.booleans()),
        parallel=draw(st.booleans()),
        chunked=window > 0 and draw(st.booleans()),
        mtp_layers=draw(st.integers(0, 2)),
        window=window,
        windowed_layers=draw(st.integers(1, layers)) if window else 0,
        attention_sinks=draw(st.booleans()),
        latent=latent,
        experts=experts,
    )


@settings(max_examples=200, deadline=None)
@given(transformers())
def test_matmul_rows_and_vectors_and_tables_hold_every_parameter_once(model):
    program = workloads.program(model)
    looked_up = (0 if model.tied else model.vocab * model.hidden) + (
        model.context * model.hidden if model.learned_positions else 0
    )
    again = model.mtp_layers * model.vocab * model.hidden  # prediction modules use the same output matrix
    assert _weights(program) - again + _vectors(model) + looked_up == program.parameters == count(model).parameters


@settings(max_examples=200, deadline=None)
@given(transformers())
def test_parts_of_a_program_add_up_to_the_whole(model):
    program = workloads.program(model)
    layers = program.split_parameters_per_layer + program.whole_parameters_per_layer
    outside = count(model).rest + count(model).positions
    total = program.layers * layers + program.moe_layers * program.expert_parameters_per_layer
    assert total + program.embedding_parameters + outside == pytest.approx(program.parameters, rel=1e-12)
    assert program.active_parameters <= program.parameters
    assert 0 <= program.kv_window_values_per_token <= program.kv_values_per_token


@settings(max_examples=200, deadline=None)
@given(transformers())
def test_a_token_costs_two_flops_for_every_matrix_element_that_it_visits(model):
    program = workloads.program(model)
    rows, experts = program.rows, model.experts
    routed = rows[_is(rows, EXPERT_MATMUL)]
    idle = (experts.count - experts.active) if experts else 0
    visited = _weights(program) - idle * float((routed[:, N] * routed[:, K] * routed[:, LAYERS]).sum())
    assert _matmul_flops(program) == 2 * visited


@settings(max_examples=200, deadline=None)
@given(transformers())
def test_every_layer_runs_each_kind_of_operator_once(model):
    rows = workloads.program(model).rows
    layers, moe = model.layers + model.mtp_layers, _moe_layers(model)
    expected = {EVERY_LAYER: layers, DENSE_LAYER: layers - moe, MOE_LAYER: moe, HEAD: 1}
    for row in rows[~_is(rows, ATTENTION)]:
        assert row[LAYERS] == expected[int(row[SCOPE])] > 0
    assert rows[_is(rows, ATTENTION)][:, LAYERS].sum() == layers
    assert np.isfinite(rows).all()
    assert (np.delete(rows, WINDOW, axis=1) >= 0).all()
    assert (rows[_is(rows, MATMUL, EXPERT_MATMUL, ATTENTION)][:, [N, K, ACTIVE]] >= 1).all()


@settings(max_examples=200, deadline=None)
@given(transformers(), st.integers(2, 5))
def test_rows_scale_with_layers_and_the_head_does_not(model, times):
    model = msgspec.structs.replace(model, mtp_layers=0)
    mixed = model.experts
    if mixed:
        assume((model.layers - mixed.dense_layers) % mixed.every == 0)
        mixed = msgspec.structs.replace(mixed, dense_layers=times * mixed.dense_layers)
    longer = msgspec.structs.replace(
        model, layers=times * model.layers, windowed_layers=times * model.windowed_layers, experts=mixed
    )
    expected = workloads.program(model).rows.copy()
    expected[expected[:, SCOPE] != HEAD, LAYERS] *= times
    assert np.array_equal(workloads.program(longer).rows, expected)


@settings(max_examples=200, deadline=None)
@given(transformers(), st.integers(1, 100))
def test_flops_of_a_token_are_those_that_the_kernel_of_a_step_counts(model, tokens):
    flops = flops_per_token(model, tokens)
    assert flops.forward == pytest.approx(forward_flops_per_token(workloads.program(model).rows, tokens), rel=1e-12)
    assert flops.training_step == flops.forward + flops.backward == 3 * flops.forward
    assert 0 < flops.prefill <= flops.forward


@given(st.integers(1, 300), st.integers(-40, 40))
def test_keys_that_queries_see_are_those_of_the_mask_counted_one_by_one(tokens, window):
    seen = 0.0
    for query in range(tokens):
        first = 0 if window == 0 else max(0, query - window) if window > 0 else query // -window * -window
        seen += query - first + 0.5  # a query sees half of itself, in the continuous form of the equations
    mean = mean_keys(tokens, window)
    assert mean == causal_context(tokens, window)
    if window > 0:  # the continuous form lets the window end in the middle of a key
        assert mean == pytest.approx(seen / tokens, abs=0.5)
    else:
        assert mean == pytest.approx(seen / tokens, rel=1e-12)
    assert last_keys(tokens, window) == decode_context(tokens, window)


def test_fields_of_a_row_stand_in_the_columns_that_the_engine_reads():
    names = {"kind": "KIND", "n": "N", "k": "K", "shard": "SHARD", "layers": "LAYERS", "scope": "SCOPE"}
    names |= {"window": "WINDOW", "active": "ACTIVE"}
    assert {field: Row._fields.index(field) for field in Row._fields} == {
        field: getattr(columns, name) for field, name in names.items()
    }


@pytest.mark.parametrize("name", MODELS)
def test_forward_flops_are_two_for_each_active_parameter(name):
    # Kaplan et al., arXiv 2001.08361, section 2.1: C = 2 N + attention. Our N counts norms and biases, and the logits.
    program = workloads.program(workloads.model(name))
    assert _matmul_flops(program) == pytest.approx(2 * program.active_parameters, rel=2e-3)


def test_gpt3_costs_what_the_equation_of_narayanan_says():
    # Narayanan et al., SC21 (arXiv 2104.04473), equation 3: with all activations recomputed, a token costs
    # 96 l h^2 (1 + s / 6h + V / 16 l h): layers run four times' worth of a forward pass, the logits three.
    model = workloads.model("gpt3-175b")
    program = workloads.program(model)
    s, l, h, v = 2048, model.layers, model.hidden, model.vocab
    logits = 2 * h * v
    ours = 4 * (_matmul_flops(program) - logits + _attention_flops(program, s)) + 3 * logits
    assert ours == pytest.approx(96 * l * h**2 * (1 + s / (6 * h) + v / (16 * l * h)), rel=1e-12)


def test_gpt3_costs_what_the_equation_of_palm_says():
    # Chowdhery et al., arXiv 2204.02311, appendix B: 6 N + 12 L H Q T a token, N without embeddings; forward a third
    model = workloads.model("gpt3-175b")
    program = workloads.program(model)
    matrices = 12 * model.layers * model.hidden**2
    ours = _matmul_flops(program) - 2 * model.hidden * model.vocab + _attention_flops(program, 2048)
    assert 3 * ours == pytest.approx(6 * matrices + 12 * model.layers * model.heads * 128 * 2048, rel=1e-12)


@pytest.mark.parametrize("name", [name for name in MODELS if name.startswith(("megatron-", "mt-nlg"))])
def test_parameters_are_those_of_the_equation_of_narayanan(name):
    # Narayanan et al., SC21 (arXiv 2104.04473), equation 2: P = 12 l h^2 (1 + 13 / 12 h + (V + s) / 12 l h);
    # it leaves out the final norm, of 2 h
    model = workloads.model(name)
    l, h = model.layers, model.hidden
    equation = 12 * l * h**2 * (1 + 13 / (12 * h) + (model.vocab + model.context) / (12 * l * h))
    assert count(model).parameters == pytest.approx(equation + 2 * h, rel=1e-14)


def test_palm_costs_what_its_authors_say():
    # Chowdhery et al., arXiv 2204.02311, appendix B: a token costs 6 N + 12 L H Q T, N = 540.35e9 with the embedding,
    # L = 118, H = 48, Q = 256, T = 2048, the whole of the attention matrix counted
    program = workloads.program(workloads.model("palm-540b"))
    ours = 3 * (_matmul_flops(program) + _attention_flops(program, 2048))
    assert ours == pytest.approx(6 * 540.35e9 + 12 * 118 * 48 * 256 * 2048, rel=1e-4)


def test_a_prediction_module_holds_the_published_parameters_and_doubles_the_logits():
    # DeepSeek-V3, README_WEIGHTS.md: 11.5e9 parameters of its own beside the shared embedding and output matrix
    model = workloads.model("deepseek-v3")
    trained = msgspec.structs.replace(model, mtp_layers=1)
    assert count(trained).parameters - count(model).parameters == pytest.approx(11.5e9, rel=0.01)
    plain, more = workloads.program(model), workloads.program(trained)
    logits = 2 * model.vocab * model.hidden
    layer = (_matmul_flops(plain) - logits) / model.layers
    assert _matmul_flops(more) - _matmul_flops(plain) == pytest.approx(layer + logits + 4 * model.hidden**2, rel=0.01)
    assert more.counts()[1] == plain.counts()[1] + 1


def test_half_of_the_layers_of_maverick_are_mixtures_and_three_quarters_are_chunked():
    rows = workloads.program(workloads.model("llama4-maverick")).rows
    assert (
        set(rows[rows[:, SCOPE] == MOE_LAYER][:, LAYERS]) == set(rows[rows[:, SCOPE] == DENSE_LAYER][:, LAYERS]) == {24}
    )
    attention = rows[_is(rows, ATTENTION)]
    assert {(row[WINDOW], row[LAYERS]) for row in attention} == {(-8192, 36), (0, 12)}


def test_training_llama_405b_costs_the_published_total():
    # The Llama 3 Herd of Models, section 3.2.1: 3.8e25 FLOPs for 15.6e12 tokens
    program = workloads.program(workloads.model("llama3-405b"))
    assert 3 * _matmul_flops(program) * 15.6e12 == pytest.approx(3.8e25, rel=0.02)


@pytest.mark.parametrize("name", MODELS)
def test_tensor_parallelism_splits_all_but_routers_and_latent_ranks(name):
    model = workloads.model(name)
    rows = workloads.program(model).rows
    matmuls = rows[_is(rows, MATMUL, EXPERT_MATMUL)]
    whole = {int(row[N]) for row in matmuls if row[SHARD] == WHOLE}
    expected = {model.experts.count} if model.experts else set()
    if model.latent:
        expected |= {model.latent.q_rank, model.latent.kv_rank + model.latent.rope_head} - {0}
    assert whole == expected
    assert set(matmuls[matmuls[:, SHARD] == ROWS][:, N]) == {model.hidden}  # what ends in an all-reduce is hidden wide
    assert (rows[_is(rows, ATTENTION)][:, SHARD] == COLUMNS).all()
    blocks = 1 + (_moe_layers(model) < model.layers)  # attention, dense MLP, experts, shared
    blocks += (1 + (model.experts.shared > 0)) if model.experts else 0
    assert (matmuls[:, SHARD] == ROWS).sum() == blocks


@pytest.mark.parametrize("name", ["llama3-8b", "llama3-70b", "llama3-405b"])
def test_memory_bound_traffic_of_a_dense_layer_is_about_ten_vectors(name):
    rows = workloads.program(workloads.model(name)).rows
    layer = rows[_is(rows, TRAFFIC) & (rows[:, SCOPE] != HEAD)]
    assert 8 <= (layer[:, N] + layer[:, K]).sum() <= 12  # the range of the stacks' traffic factor, 0.8 to 1.2


def test_memory_bound_traffic_outside_the_layers_is_the_final_norm_and_the_loss():
    model = workloads.model("llama3-8b")
    rows = workloads.program(model).rows
    (head,) = rows[_is(rows, TRAFFIC) & (rows[:, SCOPE] == HEAD)]
    norm_bytes, loss_bytes = 2 * 2 * model.hidden, 2 * 4 * model.vocab  # read and write: bf16 stream, fp32 logits
    assert 2 * model.hidden * head[N] == norm_bytes
    assert 2 * model.hidden * head[K] == loss_bytes


def test_an_expert_layer_moves_each_token_to_its_experts_and_back():
    model = workloads.model("deepseek-v3")
    rows = workloads.program(model).rows
    (layer,) = rows[_is(rows, TRAFFIC) & (rows[:, SCOPE] == MOE_LAYER)]
    activations = 2 * (model.experts.active + model.experts.shared) * model.experts.ffn / model.hidden
    assert layer[K] - activations == pytest.approx(2 * model.experts.active)


def test_windowed_layers_stand_in_a_row_of_their_own():
    program = workloads.program(workloads.model("gpt-oss-120b"))
    attention = program.rows[_is(program.rows, ATTENTION)]
    assert sorted(attention[:, WINDOW]) == [0, 128]
    assert list(attention[:, LAYERS]) == [18, 18]
    assert program.kv_window_values_per_token == program.kv_values_per_token / 2
    assert _attention_flops(program, 100_000) < 0.51 * 2 * (4096 + 4096) * 100_000 * 36
