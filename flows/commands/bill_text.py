"""The bill of scoring as lines for a person."""

from __future__ import annotations

UNITS = ((1e18, "E"), (1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""))


def amount(value: float) -> str:
    """`4.59 T`: three digits and the letter for a power of a thousand; `0 ` for nothing."""
    for size, letter in UNITS:
        if value >= size:
            return f"{value / size:.3g} {letter}"
    return f"{value:.3g} "


def duration(seconds: float) -> str:
    """`45 s`, `12 min`, `3.4 h` or `12 days`, two or three digits."""
    for size, unit in ((86400.0, "days"), (3600.0, "h"), (60.0, "min")):
        if seconds >= (2 * size if unit == "days" else size):
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.2g} s"


def dollars(value: float | None) -> str:
    """`, 0.05 USD`; nothing without a price."""
    return "" if value is None else f", {value:,.2f} USD"


def as_lines(bill: dict) -> list[str]:
    """One bill of `flows.commands.bill.bills`, without its assumptions."""
    pairs, about = bill["pairs"], "" if bill["exact"] else "about "
    lines = [
        f"{bill['stage']}: {bill['basis']}; reference LM {bill['reference_lm']}",
        (
            f"  pairs       {about}{pairs['new']:,} to score, {pairs['known']:,} scored before;"
            f" {bill['queries']:,} queries"
        ),
    ]
    if pairs["new"]:
        lines += [
            (
                f"  tokens      {about}{amount(bill['tokens'])}, each of {bill['prefixes']:,} prefixes"
                " computed once"
            ),
            (
                f"  operations  {about}{amount(bill['flops'])}FLOP,"
                f" {amount(bill['flops'] / pairs['new'])}FLOP a pair"
            ),
            f"  labels      {about}{amount(bill['label_bytes'])}B for {bill['label_rows']:,} candidates",
        ]
    lines += [_sample(name, sample) for name, sample in bill["samples"].items()]
    whole = bill["with_samples"]
    if not whole["pairs"]:
        return lines
    bound = about or ("" if all(sample["exact"] for sample in bill["samples"].values()) else "at most ")
    lines.append(
        f"  all of it   {bound}{whole['pairs']:,} pairs, {amount(whole['flops'])}FLOP, which is what follows"
    )
    if pairs["new"]:
        lines.append(f"  here        {_here(bill['here'])}")
    for device, dtypes in bill["devices"].items():
        costs = "; ".join(
            f"{dtype}: {duration(3600 * cost['hours'])}{dollars(cost['dollars'])}"
            for dtype, cost in dtypes.items()
        )
        lines.append(f"  {device:<12}{costs}")
    return lines


def _sample(name: str, sample: dict) -> str:
    """What one of the samples that evaluations ask for adds."""
    pairs, at_most = sample["pairs"], "" if sample["exact"] else "at most "
    known = f", {pairs['known']:,} scored before" if sample["exact"] else ""
    costs = f"{sample['queries']:,} evaluated queries, {amount(sample['flops'])}FLOP"
    return f"  {name:<12}{at_most}{pairs['new']:,} pairs to score{known}; {costs}"


def _here(here: dict | None) -> str:
    if here is None:
        return "not measured (needs candidates, a reference LM and --calibrate)"
    measured = here["measured"]
    machine = measured["machine"]
    return (
        f"{duration(here['seconds_with_samples'])}, of which {duration(here['seconds'])} for the labels, on"
        f" {', '.join(machine['devices'])} with {machine['cores']} cores ({machine['processor']}), from"
        f" {measured['pairs_per_second']:.3g} pairs/s over {measured['seconds']:.0f} s, {measured['date']} at"
        f" load {measured['load_at_start']:.1f} (.run/calibration.json)"
    )


def as_text(bills: list[dict]) -> str:
    """All bills and what they assume."""
    lines = [line for bill in bills for line in as_lines(bill)]
    assumptions = dict.fromkeys(line for bill in bills for line in bill["assumptions"])
    return "\n".join([*lines, "assumptions", *(f"  {line}" for line in assumptions)])
