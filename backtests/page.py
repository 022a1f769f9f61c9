"""The bones of a self-contained HTML page: style, tables, sections, and the few lines that follow the pointer.

Everything is inline and nothing is fetched, so that a report can be mailed, printed and opened in ten years. All words
given here are escaped; only strings made by this file and by `charts` are taken as HTML.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

STYLE = """
:root{color-scheme:light dark;--paper:#fff;--ink:#1b2430;--quiet:#5c6876;--rule:#dfe4ea;--card:#f5f7f9;
--main:#1f6feb;--loss:#c2352b;--gain:#12805c;--warn:#8a5a00;--warn-paper:#fff4d6}
@media(prefers-color-scheme:dark){:root{--paper:#11161d;--ink:#e4e9ef;--quiet:#98a4b3;--rule:#2b3440;--card:#1a212b;
--main:#6ea8fe;--loss:#f0807a;--gain:#4cc38a;--warn:#f5d48a;--warn-paper:#3a2f14}}
*{box-sizing:border-box}
body{margin:0 auto;padding:1.2rem clamp(.8rem,3vw,2rem) 3rem;max-width:70rem;background:var(--paper);color:var(--ink);
font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
h1{font-size:clamp(1.3rem,4vw,1.9rem);line-height:1.2;margin:.2rem 0}
h2{font-size:1.15rem;margin:2.2rem 0 .6rem;padding-bottom:.25rem;border-bottom:1px solid var(--rule)}
p{margin:.4rem 0}.quiet,caption{color:var(--quiet);font-size:.9rem}
code{font:.88em/1.45 ui-monospace,"DejaVu Sans Mono",monospace;overflow-wrap:anywhere}
.label{background:var(--warn-paper);color:var(--warn);border-left:4px solid currentColor;padding:.55rem .8rem;
margin:.8rem 0;font-weight:600}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(8.5rem,1fr));gap:.6rem;margin:1rem 0}
.card{background:var(--card);border-radius:.5rem;padding:.6rem .8rem}.card span{display:block;color:var(--quiet);
font-size:.85rem}.card b{font-size:1.3rem;font-variant-numeric:tabular-nums;white-space:nowrap}
.wide{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:.93rem}
caption{text-align:left;padding-bottom:.3rem}
th,td{padding:.28rem .7rem .28rem 0;border-bottom:1px solid var(--rule);text-align:left;vertical-align:top}
th{font-weight:600}td.n,th.n{text-align:right}
dl.pairs{display:grid;grid-template-columns:repeat(auto-fill,minmax(17rem,1fr));column-gap:2rem;margin:0}
dl.pairs div{display:flex;justify-content:space-between;gap:1rem;border-bottom:1px solid var(--rule);padding:.25rem 0}
dl.pairs dt{color:var(--quiet)}dl.pairs dd{margin:0;text-align:right;font-variant-numeric:tabular-nums;
overflow-wrap:break-word}
.whole{white-space:nowrap}dl.counts{margin:.6rem 0;max-width:46rem}dl.counts div{display:flex;justify-content:space-between;gap:1rem;
border-bottom:1px solid var(--rule);padding:.35rem 0;break-inside:avoid}dl.counts dt{font-weight:600;min-width:0;
overflow-wrap:break-word}
dl.counts small{display:block;font-weight:400;color:var(--quiet);font-size:.87rem;line-height:1.35}
dl.counts dd{margin:0;font-weight:600;font-variant-numeric:tabular-nums;white-space:nowrap}
dl.counts .zero dt,dl.counts .zero dd{font-weight:400;color:var(--quiet)}
table.months td,table.months th{padding:.28rem .4rem;text-align:right;white-space:nowrap;font-size:.85rem}
table.months th:first-child{padding-left:0;text-align:left;position:sticky;left:0;background:var(--paper)}
.up{background:color-mix(in srgb,var(--gain) calc(var(--heat)*1%),transparent)}
.down{background:color-mix(in srgb,var(--loss) calc(var(--heat)*1%),transparent)}
figure{margin:1rem 0 1.6rem;break-inside:avoid}figcaption{font-size:.9rem;margin-bottom:.7rem}
.key{color:var(--quiet);margin-left:.7rem;white-space:nowrap}
.key:before{content:"";display:inline-block;width:.9rem;height:.2rem;margin-right:.35rem;vertical-align:middle;
background:var(--c)}
.main{--c:var(--main)}.loss{--c:var(--loss)}.gain{--c:var(--gain)}.plain{--c:var(--quiet)}
.plot{position:relative;height:17rem;margin:0 .3rem 2.2rem 3.4rem;touch-action:pan-y}.low .plot{height:9rem}
.plot svg{position:absolute;inset:0;width:100%;height:100%;overflow:visible}
.line{fill:none;stroke:var(--c);stroke-width:1.5;stroke-linejoin:round;vector-effect:non-scaling-stroke}
.area{fill:var(--c);opacity:.18}.band{fill:var(--main);opacity:.14}
.grid{fill:none;stroke:var(--rule);stroke-width:1;vector-effect:non-scaling-stroke}
.y,.x{position:absolute;color:var(--quiet);font-size:.75rem;white-space:nowrap;line-height:1}
.y{right:calc(100% + .4rem);transform:translateY(50%)}.x{top:calc(100% + .45rem);transform:translateX(-50%)}
.mark{position:absolute;width:.6rem;height:.55rem;margin-left:-.3rem}
.mark.buy{background:var(--gain);clip-path:polygon(50% 0,100% 100%,0 100%);transform:translateY(100%)}
.mark.sell{background:var(--loss);clip-path:polygon(0 0,100% 0,50% 100%)}
.tip{position:absolute;top:0;pointer-events:none;background:var(--ink);color:var(--paper);padding:.15rem .45rem;
border-radius:.3rem;font-size:.8rem;white-space:nowrap;transform:translateX(-50%);z-index:2}
.hair{position:absolute;top:0;bottom:0;width:1px;background:var(--quiet);pointer-events:none}
.column{fill:var(--quiet);opacity:.45}
.bars{display:grid;grid-template-columns:minmax(2.5rem,max-content) 1fr max-content;gap:.28rem .7rem;align-items:center;font-size:.88rem;
font-variant-numeric:tabular-nums}.bars b{text-align:right;font-weight:600}.bars small{font-weight:400;color:var(--quiet);margin-left:.6rem}
.track{position:relative;height:1.05rem}.track i{position:absolute;top:.12rem;bottom:.12rem}.track .gain,.track .loss{background:var(--c);opacity:.55}
.track .zero{top:0;bottom:0;width:1px;background:var(--quiet)}
.track .reach{top:.3rem;bottom:.3rem;border:solid var(--ink);border-width:0 1px;background:linear-gradient(var(--ink),var(--ink)) center/100% 1px no-repeat}
@media(max-width:34rem){.bars{gap:.28rem .45rem}.bars small{display:block;margin:0;font-size:.75rem;line-height:1.1}}
@media(max-width:34rem){body{font-size:15px}.plot{height:13rem;margin-left:3rem}.low .plot{height:7rem}}
@media print{:root{--paper:#fff;--ink:#000;--quiet:#444;--rule:#ccc;--card:#f3f3f3;--main:#1f6feb;--loss:#c2352b;
--gain:#12805c;--warn:#6b4600;--warn-paper:#fff4d6;color-scheme:light}
*{print-color-adjust:exact;-webkit-print-color-adjust:exact}body{max-width:none;padding:0;font-size:10.5pt}
.tip,.hair{display:none}h2,h2+p.quiet{break-after:avoid}tr,.card,dl.pairs div{break-inside:avoid}.wide{overflow:visible}
.plot{height:6.2cm}.low .plot{height:3cm}@page{margin:1.6cm}}
"""

# Follows the pointer: the nearest point's date and value beside a hair line. The page says the same without it.
SCRIPT = """
for(const plot of document.querySelectorAll('.plot[data-points]')){
const d=JSON.parse(plot.dataset.points),tip=document.createElement('div'),hair=document.createElement('div');
tip.className='tip';hair.className='hair';
plot.addEventListener('pointerleave',()=>{tip.remove();hair.remove()});
plot.addEventListener('pointermove',e=>{
const box=plot.getBoundingClientRect(),at=(e.clientX-box.left)/box.width;let a=0,b=d.x.length-1;
while(b-a>1){const m=(a+b)>>1;if(d.x[m]<at)a=m;else b=m}
const i=Math.abs(d.x[a]-at)<Math.abs(d.x[b]-at)?a:b,
day=new Date(d.start+d.x[i]*(d.end-d.start)).toISOString().slice(0,16).replace('T',' '),
v=d.unit==='percent'?(100*d.y[i]).toFixed(2)+' %':d.y[i].toLocaleString('en',{maximumSignificantDigits:6});
tip.textContent=day+'  '+v;const x=100*d.x[i];
tip.style.left=Math.min(Math.max(x,box.width<500?24:10),box.width<500?76:90)+'%';hair.style.left=x+'%';
plot.append(hair,tip)})}
"""


def page(title: str, body: Iterable[str]) -> str:
    """Join the parts to one page."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{html.escape(title)}</title><style>{STYLE}</style></head>\n<body>\n"
        + "\n".join(body)
        + f"\n<script>{SCRIPT}</script></body></html>\n"
    )


def framed(whole: str) -> str:
    """Put a page into a frame for a notebook, whose own style it must not touch."""
    return f'<iframe srcdoc="{html.escape(whole)}" style="width:100%;height:44rem;border:0" title="report"></iframe>'


def section(title: str, *parts: str) -> str:
    """Put parts of HTML under a heading."""
    return f"<section><h2>{html.escape(title)}</h2>{''.join(parts)}</section>"


def words(text: str, *, look: str = "") -> str:
    """Write one paragraph."""
    return f'<p class="{look}">{html.escape(text)}</p>' if look else f"<p>{html.escape(text)}</p>"


def bullets(texts: Iterable[str]) -> str:
    """Write a list, one item per text."""
    return "<ul>" + "".join(f"<li>{html.escape(text)}</li>" for text in texts) + "</ul>"


def cards(pairs: Iterable[tuple[str, str]]) -> str:
    """Show a few figures large."""
    shown = "".join(f'<div class="card"><span>{html.escape(k)}</span><b>{html.escape(v)}</b></div>' for k, v in pairs)
    return f'<div class="cards">{shown}</div>'


def pairs(rows: Iterable[tuple[str, str]]) -> str:
    """Show names with their values, in as many columns as there is room for."""
    shown = "".join(f"<div><dt>{html.escape(k)}</dt><dd>{_whole(v)}</dd></div>" for k, v in rows)
    return f'<dl class="pairs">{shown}</dl>'


def counts(rows: Iterable[tuple[str, str, str]]) -> str:
    """Show what was counted, with what it means below its name; a count of zero is quieter."""
    shown = "".join(
        f'<div class="{"zero" if count == "0" else ""}"><dt>{html.escape(name)}<small>{html.escape(why)}</small></dt>'
        f"<dd>{html.escape(count)}</dd></div>"
        for name, count, why in rows
    )
    return f'<dl class="counts">{shown}</dl>'


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, numbers_from: int, caption: str = "") -> str:
    """Write a table whose columns from `numbers_from` on are figures."""
    looks = ["n" if column >= numbers_from else "" for column in range(len(head))]
    top = "".join(f'<th class="{look}">{html.escape(name)}</th>' for name, look in zip(head, looks, strict=True))
    lines = "".join(
        "<tr>"
        + "".join(f'<td class="{look}">{html.escape(cell)}</td>' for cell, look in zip(row, looks, strict=True))
        + "</tr>"
        for row in rows
    )
    note = f"<caption>{html.escape(caption)}</caption>" if caption else ""
    return f'<div class="wide"><table>{note}<thead><tr>{top}</tr></thead><tbody>{lines}</tbody></table></div>'


def heat_table(head: Sequence[str], rows: Iterable[tuple[str, Sequence[float]]], *, full: float) -> str:
    """Write shares as percent upon a colour that is full at `full`; NaN is an empty cell."""
    top = "".join(f"<th>{html.escape(name)}</th>" for name in head)
    lines = "".join(
        f"<tr><th>{html.escape(name)}</th>{''.join(_heat(share, full) for share in shares)}</tr>"
        for name, shares in rows
    )
    return f'<div class="wide"><table class="months"><thead><tr>{top}</tr></thead><tbody>{lines}</tbody></table></div>'


def _whole(text: str) -> str:
    """Keep a short value on one line."""
    return f'<span class="whole">{html.escape(text)}</span>' if len(text) <= 16 else html.escape(text)


def _heat(share: float, full: float) -> str:
    if share != share:  # noqa: PLR0124 (NaN is the only value unlike itself)
        return "<td></td>"
    heat = min(abs(share) / full, 1.0) * 60.0 if full else 0.0
    text = f"{100 * share:.1f}".replace("-", "−")
    return f'<td class="{"up" if share > 0 else "down"}" style="--heat:{heat:.0f}">{text}</td>'


def escaped(text: str) -> str:
    """Make words safe to stand in HTML."""
    return html.escape(text)
