"""The style sheet of the report. Colours are those of Okabe and Ito (2008), which all common kinds of colour
vision tell apart.
"""

from __future__ import annotations

CSS = """
:root {
  color-scheme: light dark;
  --paper: #fdfdfb; --panel: #f4f4f1; --ink: #1b1d20; --soft: #585e66; --hair: #dcddd9; --grid: #e6e7e3;
  --warn: #9c2a0c; --warn-paper: #fcefe9; --link: #005a8f; --mark: #8a3b00; --mark-paper: #fbe7d3;
    --good: #00694c; --open: #7a5900;
  --c0: #0072b2; --c1: #d55e00; --c2: #009e73; --c3: #cc79a7; --c4: #e69f00; --c5: #56b4e9;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #15171a; --panel: #1d2023; --ink: #e4e5e6; --soft: #a2a8af; --hair: #363a3f; --grid: #2a2d31;
    --warn: #ff9d80; --warn-paper: #2d1b16; --link: #7cc4f0; --mark: #ffc48a; --mark-paper: #40290f;
      --good: #4fcfa5; --open: #f0c34e;
    --c0: #56b4e9; --c1: #e8762a; --c2: #16b58a; --c3: #cc79a7; --c4: #e69f00; --c5: #3d8fd1;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0 auto; max-width: 1180px; padding: 28px 20px 64px; background: var(--paper);
  color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Liberation Sans", sans-serif; }
h1 { font-size: 1.65rem; line-height: 1.2; font-weight: 650; margin: 0 0 10px; letter-spacing: -.01em;
  overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; line-height: 1.3; font-weight: 650; margin: 0 0 12px; padding-top: 10px;
  border-top: 2px solid var(--ink); }
h3 { font-size: .8rem; font-weight: 600; color: var(--soft); margin: 14px 0 4px; }
p { margin: 0 0 10px; }
section { margin-top: 40px; }
a { color: var(--link); }
.lead { max-width: 76ch; color: var(--soft); }
.lead strong { color: var(--ink); font-weight: 600; }
.note, figcaption, .about { font-size: .84rem; line-height: 1.45; color: var(--soft); max-width: 90ch; }
.headline { list-style: none; margin: 22px 0 18px; padding: 0;
  display: grid; gap: 12px 28px; grid-template-columns: repeat(3, minmax(0, 1fr)); }
.headline li { font-size: 1.15rem; line-height: 1.38; font-weight: 500;
  padding-top: 10px; border-top: 3px solid var(--c0); overflow-wrap: anywhere; }
.tiles { list-style: none; margin: 22px 0 18px; padding: 0;
  display: grid; gap: 16px 28px; grid-template-columns: repeat(4, minmax(0, 1fr)); }
.tiles li { padding-top: 10px; border-top: 3px solid var(--c0); font-size: .92rem; line-height: 1.42;
  overflow-wrap: anywhere; }
.tiles li.poor { border-color: var(--warn); }
.tiles b { display: block; font-size: 1.3rem; line-height: 1.25; font-weight: 650; margin-bottom: 4px; }
.tiles li.poor b { color: var(--warn); }
.warnings { list-style: none; margin: 0 0 18px; padding: 10px 14px; background: var(--warn-paper);
  border-left: 4px solid var(--warn); }
.warnings li + li { margin-top: 6px; }
.warnings li, .warning { color: var(--warn); overflow-wrap: anywhere; }
nav { display: flex; flex-wrap: wrap; gap: 4px 18px; font-size: .88rem; padding: 8px 0;
  border-bottom: 1px solid var(--hair); }
nav a { text-decoration: none; }
nav a:hover { text-decoration: underline; }

.pair { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 16px 36px; align-items: start; }
figure { margin: 0 0 14px; }
section > figure { display: grid; grid-template-columns: minmax(0, 700px) minmax(0, 1fr); gap: 10px 32px; }
figcaption p { margin: 4px 0 6px; }
svg { display: block; width: 100%; height: auto; overflow: visible; }
.pair svg { max-width: 640px; }
svg.narrow { display: none; }
text { font-size: 12px; fill: var(--soft); font-variant-numeric: tabular-nums; font-family: inherit; }
text.name, text.end, text.value { fill: var(--ink); }
.grid { stroke: var(--grid); } .zero { stroke: var(--soft); stroke-width: 1; }
.line { fill: none; stroke: var(--c); stroke-width: 2; stroke-linejoin: round; stroke-linecap: round; }
.dashed .line, .reference .line { stroke-dasharray: 5 4; }
.leader { stroke: var(--c); stroke-width: 1; opacity: .7; }
.interval { stroke: var(--c); stroke-width: 2.5; stroke-linecap: round; opacity: .75; }
.dot { fill: var(--c); stroke: var(--paper); stroke-width: 1; }
.band { fill: var(--c); opacity: .17; }
.bar { fill: var(--c0); }
.s0 { --c: var(--c0); } .s1 { --c: var(--c1); } .s2 { --c: var(--c2); }
.s3 { --c: var(--c3); } .s4 { --c: var(--c4); } .s5 { --c: var(--c5); }
.reference { --c: var(--soft); }

.scroll { overflow-x: auto; margin: 4px 0 10px; }
table { border-collapse: collapse; font-size: .84rem; line-height: 1.35;
  font-variant-numeric: tabular-nums lining-nums; }
th, td { text-align: left; padding: 4px 14px 4px 0; vertical-align: baseline;
  border-bottom: 1px solid var(--hair); unicode-bidi: isolate; }
thead th, thead td { font-weight: 500; color: var(--soft); border-bottom: 1px solid var(--soft);
  vertical-align: bottom; }
tbody th { font-weight: 500; }
td, tbody th { max-width: 44ch; overflow-wrap: anywhere; }
tbody th, td:not(.n) { min-width: 12ch; }
td { min-width: 7ch; }
th.n, td.n { text-align: right; white-space: nowrap; }
thead th.n { white-space: normal; }
.systems th, .systems td { padding-right: 9px; min-width: 0; font-size: .8rem; }
.systems tbody th { min-width: 17ch; }
.systems thead tr:first-child:not(:last-child) > * { border-bottom: 0; text-align: left; font-weight: 600; }
.systems tbody th, .systems thead tr > :first-child { position: sticky; left: 0; background: var(--paper); }
.systems table { border-collapse: separate; border-spacing: 0; }
.metrics :is(th, td):nth-child(3n+5) { padding-left: 14px; }
.published th:nth-child(n+5), .published td:nth-child(n+5), .foreign,
  .gold tbody tr:nth-last-child(-n+5) > * {
  background: var(--panel); color: var(--soft); padding-left: 10px; }

figcaption th, figcaption td, figcaption tbody th { padding-right: 8px; min-width: 0; font-size: .76rem; }
.splits small { font-size: inherit; color: var(--soft); }

dl.facts { display: flex; flex-wrap: wrap; gap: 8px 32px; margin: 4px 0 16px; }
dl.facts dt { font-size: .78rem; color: var(--soft); overflow-wrap: anywhere; }
dl.facts dd { margin: 0; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
dl.facts > div { max-width: 100%; }
summary { cursor: pointer; color: var(--link); font-size: .84rem; overflow-wrap: anywhere; }
summary b { font-variant-numeric: tabular-nums; }
.example { border-bottom: 1px solid var(--hair); padding: 8px 0; }
.example > summary { font-size: .95rem; color: var(--ink); }
.chunk { white-space: pre-wrap; overflow-wrap: anywhere; overflow: hidden; tab-size: 4;
  unicode-bidi: isolate; background: var(--panel);
  padding: 8px 10px; border-radius: 3px;
    font: 12.5px/1.45 ui-monospace, SFMono-Regular, Menlo, Consolas, "Liberation Mono", monospace; }
.candidates { list-style: none; margin: 0; padding: 0; display: grid; gap: 10px 36px;
  grid-template-columns: repeat(2, minmax(0, 1fr)); }
.about { margin: 0 0 4px; }
.good, .open, .bad { font-weight: 600; font-variant-numeric: tabular-nums; }
.good { color: var(--good); } .open { color: var(--open); } .bad { color: var(--warn); }
.good::before { content: "\\2713\\a0"; } .open::before { content: "?\\a0"; }
.bad::before { content: "\\2717\\a0"; }
code { font: .92em ui-monospace, SFMono-Regular, Menlo, Consolas, "Liberation Mono", monospace;
  overflow-wrap: anywhere; }
mark { background: var(--mark-paper); color: var(--mark); border-radius: 2px;
  font-family: ui-monospace, monospace; font-size: .9em; }

@media (max-width: 900px) {
  .pair, .headline, .candidates, section > figure { grid-template-columns: minmax(0, 1fr); }
  .headline li { font-size: 1.05rem; }
  .tiles { grid-template-columns: repeat(2, minmax(0, 1fr)); }
}
@media (max-width: 560px) {
  body { padding: 16px 14px 40px; }
  .splits small { display: block; font-size: .72rem; }
  .splits th, .splits td, .splits tbody th { padding-right: 8px; min-width: 0; }
  .splits tbody th { min-width: 10ch; }
  .splits td.n { white-space: normal; }
  .tiles { grid-template-columns: minmax(0, 1fr); }
  svg.narrow { display: block; } svg.wide { display: none; }
  h1 { font-size: 1.35rem; }
  section { margin-top: 30px; }
}
@media print { nav, figure details { display: none; } body { max-width: none; } }
"""
