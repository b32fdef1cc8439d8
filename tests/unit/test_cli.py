"""The command as people and scripts use it: help, JSON with the published keys, exit codes that say what happened."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import typer.main

from supernode import cli

QUANTITY = {"value", "low", "high", "unit", "maturity", "sources"}
SMALL = ("-w", "train-llama3-8b", "--samples", "8")


@pytest.fixture
def supernode(monkeypatch, capsys):
    """Run the command in this process: (exit code, standard output, standard error)."""

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["supernode", *words])
        code = cli._run()
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def answer(supernode):
    """Run a command with ``--json``: the object that it prints."""

    def run(*words: str) -> dict:
        code, out, err = supernode(*words, "--json")
        assert code == 0, err
        return json.loads(out, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))

    return run


def commands(group, path=()):
    """The words of every command that does something itself."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name)


COMMANDS = sorted(commands(typer.main.get_command(cli.app)))


def is_quantity(found: dict) -> bool:
    """Whether this is a quantity of the published format with its value in its range."""
    return set(found) == QUANTITY and found["low"] <= found["value"] <= found["high"]


def test_the_commands_of_this_release_are_there():
    assert {words[0] for words in COMMANDS} >= {"compare", "plan", "collective", "topology", "catalogue", "validate"}
    assert {words[1] for words in COMMANDS if words[0] == "catalogue"} == {"list", "show", "sources", "check", "export"}


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_help_shows_an_example_of_the_command_itself(words, supernode):
    code, out, _ = supernode(*words, "--help")
    assert code == 0
    assert f"Example: supernode {' '.join(words)}" in " ".join(out.replace("│", " ").split())


def test_help_loads_none_of_the_heavy_libraries():
    heavy = ("numba", "numpy", "scipy", "pandas", "pyarrow", "matplotlib", "networkx", "simpy", "SALib", "jinja2")
    script = (
        "import sys\n"
        "from supernode.cli import _run\n"
        "sys.argv = ['supernode', '--help']\n"
        "code = _run()\n"
        f"sys.exit(code or ' '.join(set(sys.modules) & set({heavy!r})) or None)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "compare" in done.stdout


def test_the_module_runs_like_the_command():
    done = subprocess.run(
        [sys.executable, "-m", "supernode", "compare", "ironwod-9216"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert "ironwood-9216" in done.stderr


def test_plan_prints_plans_whose_parts_sum_to_the_step(answer):
    found = answer("plan", "llama3-8b", "hgx-h100", "--top", "3")
    assert set(found) >= {"schema", "plans", "searched", "infeasible", "seconds"}
    assert found["schema"] == 1
    assert len(found["plans"]) == 3
    assert found["searched"] > found["infeasible"] >= 0
    times = []
    for each in found["plans"]:
        assert set(each) == {"plan", "step", "memory"}
        assert {"tensor", "pipeline", "data", "expert", "context", "zero", "micro_batch"} <= set(each["plan"])
        assert all(is_quantity(part) for part in (*each["step"].values(), *each["memory"].values()))
        seconds = {name: part["value"] for name, part in each["step"].items() if part["unit"] == "s"}
        whole = seconds.pop("time")
        seconds.pop("seconds", None)
        assert sum(seconds.values()) == pytest.approx(whole)
        assert each["memory"]["needed"]["value"] <= each["memory"]["available"]["value"]
        times.append(whole)
    assert times == sorted(times)


def test_collective_prints_one_size_with_its_bounds(answer):
    found = answer("collective", "all-reduce", "gb200-nvl72", "--bytes", "1GiB", "--samples", "8")
    assert set(found) >= {"schema", "time", "algbw", "busbw", "algorithm", "level", "bottleneck", "bounds"}
    assert set(found["bounds"]) == {"injection", "link", "bisection", "latency"}
    assert all(is_quantity(found[name]) for name in ("time", "algbw", "busbw"))
    assert found["time"]["value"] >= max(found["bounds"].values())
    assert found["algbw"]["value"] * found["time"]["value"] == pytest.approx(2**30)
    # nccl-tests: busbw of an all-reduce is algbw times 2 (n - 1) / n
    assert found["busbw"]["value"] == pytest.approx(found["algbw"]["value"] * 2 * 71 / 72)


def test_collective_prints_a_sweep_of_doublings(answer):
    found = answer("collective", "all-gather", "hgx-h100", "--bytes", "1KiB:16KiB", "--samples", "8")
    assert [row["bytes"] for row in found["sweep"]] == [1024 * 2**i for i in range(5)]
    assert all(is_quantity(row["time"]) for row in found["sweep"])


@pytest.mark.parametrize("spelling", ["all_reduce", "allreduce", "All-Reduce"])
def test_a_collective_is_the_same_however_it_is_spelled(spelling, supernode):
    words = ("hgx-h100", "--samples", "8", "--json")
    assert supernode("collective", spelling, *words) == supernode("collective", "all-reduce", *words)


@pytest.mark.parametrize("alias", [("hgx-h100", "dgx-h100")])
def test_an_alias_is_the_same_machine(alias, answer):
    assert answer("topology", alias[0]) == answer("topology", alias[1])


def test_topology_prints_counts_and_distances(answer):
    found = answer("topology", "ironwood-9216")
    assert set(found) >= {"chips", "switches", "links", "edges", "injection", "bisection", "diameter", "mean_distance"}
    # a torus of 16 x 24 x 24: three links a chip, and half way round each axis
    assert (found["chips"], found["edges"], found["diameter"]) == (9216, 27648, 8 + 12 + 12)
    assert all(set(found[name]) >= QUANTITY for name in ("injection", "bisection"))


def test_catalogue_lists_everything_by_kind(answer):
    found = answer("catalogue", "list")
    assert found["schema"] == 1
    assert {"machines", "chips", "networks", "models", "stacks"} <= set(found)
    machines = {each["name"]: each for each in found["machines"]}
    assert set(machines) >= {"ironwood-9216", "scalex640", "cloudmatrix384", "gb200-nvl72", "hgx-h100"}
    assert all({"name", "vendor", "chip", "chips"} <= set(each) for each in found["machines"])
    assert machines["scalex640"]["chips"] == 640
    assert {each["name"] for each in found["chips"]} >= {each["chip"] for each in found["machines"]}


def test_compare_prints_the_published_format(answer):
    found = answer("compare", "hgx-h100", "gb200-nvl72", *SMALL)
    assert set(found) >= {"schema", "machines", "pairs", "basis", "sources", "provenance"}
    assert (found["schema"], found["basis"]) == (1, "as-built")
    assert list(found["machines"]) == ["gb200-nvl72", "hgx-h100"]
    named = {each["id"] for each in found["sources"]}
    for machine in found["machines"].values():
        assert set(machine) >= {"chips", "workloads", "economics", "cluster"}
        metrics = machine["workloads"]["train-llama3-8b"]
        assert set(metrics) >= {
            "tokens_per_s",
            "tokens_per_s_per_chip",
            "mfu",
            "step_time",
            "step_compute",
            "step_exposed_communication",
            "step_bubble",
        }
        assert set(machine["economics"]) >= {"usd_per_million_tokens", "tokens_per_joule"}
        for quantity in (*metrics.values(), *machine["economics"].values()):
            assert is_quantity(quantity)
            assert quantity["sources"]
            assert set(quantity["sources"]) <= named
    for pair in found["pairs"]:
        assert {"a", "b", "workload", "metric", "probability_a_better"} <= set(pair)
        assert 0 <= pair["probability_a_better"] <= 1


def test_compare_shows_a_matched_case_beside_machines_of_other_sizes(answer):
    found = answer("compare", "hgx-h100", "gb200-nvl72", *SMALL)
    chips = {name: machine["chips"] for name, machine in found["matched"]["machines"].items()}
    assert chips == {"hgx-h100": 8, "gb200-nvl72": 8}


def test_compare_of_an_undisclosed_machine_names_its_readings_and_their_weights(answer):
    machine = answer("compare", "scalex640", *SMALL, "--basis", "chips")["machines"]["scalex640"]
    assert sum(machine["hypotheses"].values()) == pytest.approx(1)
    assert machine["reading"]
    throughput = machine["workloads"]["train-llama3-8b"]["tokens_per_s"]
    assert throughput["low"] < throughput["high"]


def test_machine_output_is_one_object_and_nothing_else(supernode):
    for words in (("compare", "hgx-h100", *SMALL), ("plan", "llama3-8b", "hgx-h100")):
        _, out, err = supernode(*words, "--json")
        assert (out[0], out[-2:]) == ("{", "}\n")
        assert err == ""


def test_a_model_that_fits_on_no_plan_says_what_it_needs_and_what_there_is(supernode):
    code, out, _ = supernode("plan", "kimi-k2", "hgx-h100")
    assert code == 3
    assert "fits on no plan" in out
    needed, _, available = out.partition("needed")
    assert needed.split()[-1] in {"TB", "GB"}
    # the 81,559 MiB that the driver reports less the 8 % that the stack reserves
    assert "78.68 GB available" in available


def test_a_model_that_fits_on_no_plan_says_so_in_json_too(supernode):
    code, out, _ = supernode("plan", "kimi-k2", "hgx-h100", "--json")
    found = json.loads(out)
    assert code == 3
    assert found["plans"] == []
    assert found["infeasible"] == found["searched"] > 0
    # two bytes a parameter of a model of 1e12 do not fit, however they are spread over eight chips
    assert found["reason"]["needed_bytes"] > 2e12 / 8 > found["reason"]["available_bytes"] > 0


def test_a_comparison_in_which_nothing_fits_leaves_with_3_and_still_prints(supernode):
    code, out, _ = supernode("compare", "hgx-h100", "gb200-nvl72", "-w", "train-deepseek-v3", "--samples", "8")
    assert code == 3
    assert out.count("GB needed") >= 2


def test_a_comparison_in_which_one_machine_has_an_answer_is_an_answer(supernode):
    words = ("-w", "train-llama3-70b", "--samples", "8", "--json")
    code, out, err = supernode("compare", "hgx-h100", "gb200-nvl72", *words)
    found = json.loads(out)["machines"]
    assert code == 0, err
    assert found["hgx-h100"]["outcomes"]["train-llama3-70b"]["status"] == "infeasible"
    assert found["gb200-nvl72"]["outcomes"]["train-llama3-70b"]["status"] == "ok"


def test_a_day_on_less_than_a_scheduler_hands_out_has_no_answer_and_is_no_error(supernode):
    # the matched case cuts scaleX640 to 8 chips, and its scheduler hands out groups of 40
    code, out, err = supernode("compare", "hgx-h100", "scalex640", "-w", "cluster-day", "--samples", "8", "--json")
    assert code == 0, err
    assert json.loads(out)["matched"]["machines"]["scalex640"]["outcomes"]["cluster-day"]["status"] == "infeasible"


def test_a_bug_of_ours_leaves_with_70_and_says_whose_it_is(supernode, monkeypatch):
    def broken(*_args, **_kwargs):
        raise ZeroDivisionError("the moon")

    monkeypatch.delenv(cli.DEBUG, raising=False)
    monkeypatch.setattr("topologies.entry", broken)
    code, out, err = supernode("compare", "hgx-h100")
    assert code == 70
    assert out == ""
    assert "ZeroDivisionError: the moon" in err
    assert "this is a bug" in err
    assert "Traceback" not in err


def test_an_interrupt_leaves_with_130(supernode, monkeypatch):
    def interrupted(*_args, **_kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("topologies.entry", interrupted)
    code, _, err = supernode("compare", "hgx-h100")
    assert code == 130
    assert "interrupted" in err
    assert "Traceback" not in err
