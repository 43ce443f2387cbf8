"""What `rpt plan training --on` found, as lines for a person."""

from __future__ import annotations

from flows.commands.bill_text import amount, duration

GIB = 2**30


def as_text(fit: dict) -> str:
    """The answer of `flows.commands.fits.fit`."""
    mesh, sizes, devices = fit["mesh"], fit["bytes"], fit["devices"]
    idle = devices - mesh["data"] * mesh["sequence"]
    lines = [
        (
            f"{fit['run']} ({fit['system']}), {fit['batch']} x {fit['tokens']:,} tokens a step, on"
            f" {fit['target']}: {_verdict(fit)}"
        ),
        f"  devices      {devices} ({fit['device_kind']}), {mesh['data']} over sequences x {mesh['sequence']}"
        " over the tokens of one" + (f"; {idle} idle, they do not divide the work evenly" if idle else ""),
        f"  memory       {_gib(sizes['memory'])} a device ({fit['memory_source']})",
        f"  state        {_gib(sizes['state'])} a device: parameters, optimizer and what is carried"
        + (f", cut over {mesh['data']} devices" if fit["split_state"] else ""),
        *_needed(fit),
        f"  batch        {_batch(fit)}",
        *_exchanged(fit["collectives"]),
        f"  operations   {_operations(fit['flops'])}",
        (
            f"  compiled     in {duration(fit['seconds']['compile'])}"
            f" ({duration(fit['seconds']['compile_cpu'])} of a core), after"
            f" {duration(fit['seconds']['lower'])} to trace"
        ),
        "not proved",
        *(f"  {line}" for line in fit["not_proved"]),
    ]
    return "\n".join(lines)


def _verdict(fit: dict) -> str:
    if fit["fits"]:
        return "fits"
    return "DOES NOT FIT" + (", the compiler refused it" if fit["refused"] else "")


def _needed(fit: dict) -> list[str]:
    sizes = fit["bytes"]
    if sizes["needed"] is None:
        return [f"  refused      {fit['refused'].splitlines()[0]}"]
    if fit["refused"]:
        return [
            f"  needed       {_gib(sizes['needed'])} a device, by the compiler's own words:"
            f" {fit['refused'].splitlines()[0][:200]}"
        ]
    code = f", the program itself {_gib(sizes['code'])}" if sizes["code"] else ""
    return [
        (
            f"  temporaries  {_gib(sizes['temporaries'])} a device: activations, gradients and what is"
            f" exchanged{code}"
        ),
        (
            f"  needed       {_gib(sizes['needed'])} a device at the worst moment,"
            f" {sizes['needed'] / sizes['memory']:.0%} of its memory"
        ),
    ]


def _batch(fit: dict) -> str:
    rows = fit["batch_that_fits"]
    if rows is None:
        return "not known: try training.parts: 2 or more, --batch 1, training.remat: true or more chips"
    if not rows:
        return (
            "no sequence fits, by arithmetic: training.remat: true, training.dtype: bfloat16, or more chips"
            " for one sequence"
        )
    parts = f", in {fit['parts']} parts" if fit["parts"] > 1 else ""
    bound = "at least " if fit["effort"] >= 0 else "of this program "
    return (
        f"{bound}{rows} sequences fit{parts}, by arithmetic (all but the state grows with the batch);"
        f" --batch {rows} compiles it"
    )


def _exchanged(collectives: dict[str, dict[str, int]]) -> list[str]:
    if not collectives:
        return ["  exchanged    nothing between devices"]
    kinds = (f"{total['count']} {kind} of {amount(total['bytes'])}B" for kind, total in collectives.items())
    return [f"  exchanged    a step and device, by the size of results: {', '.join(kinds)}"]


def _operations(flops: dict) -> str:
    counted, traced, compiler = flops["counted"], flops["traced"], flops["compiler_a_device"]
    said = (
        f"{amount(counted)}FLOP a step by model/training_cost.py; the products as traced are"
        f" {traced / counted:.2f} times that"
    )
    return said + (f"; the compiler has {amount(compiler)}FLOP a device, loops once" if compiler else "")


def _gib(size: int) -> str:
    return f"{size / GIB:.2f} GiB"
