"""The picture is well-formed, escaped, and shows what it says; a real browser opens it."""

import itertools
import shutil
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path

import jax
import pytest

from autovmap import Plan, auto_vmap
from conftest import PATIENCE
from show.gallery import GALLERY, broadcast, f32, hostile

pytestmark = pytest.mark.own

SVG = "{http://www.w3.org/2000/svg}"


def texts(picture: str) -> list[str]:
    return [text.text or "" for text in ET.fromstring(picture).iter(f"{SVG}text")]


def many(arguments: int, axes: int) -> Plan:
    """A call of so many arguments along so many batch axes."""
    names = [f"argument_{i}" for i in range(arguments)]
    function = eval(f"lambda {', '.join(names)}: 0")
    shapes = [(*range(2 + i % (axes + 1), 2 + axes), *(100,) * (i % 4)) for i in range(arguments)]
    ranks = {name: i % 4 for i, name in enumerate(names)}
    return auto_vmap(ranks=ranks)(function).plan(*(f32(*shape) for shape in shapes))


@pytest.mark.parametrize("axes", range(7))
@pytest.mark.parametrize("arguments", range(1, 9))
def test_everything_is_there(arguments: int, axes: int) -> None:
    plan = many(arguments, axes)
    picture = plan.svg()
    found = texts(picture)
    for arg in plan.args:
        assert arg.path in found
        assert f"{arg.dtype}[{','.join(map(str, arg.shape))}]" in found
    for layer in plan.layers:
        assert f"vmap {layer.axis} · {layer.size}" in found
    frames = [r for r in ET.fromstring(picture).iter(f"{SVG}rect") if "f" in r.get("class", "")[:1]]
    assert len(frames) == axes


def test_frames_nest() -> None:
    def edges(rect: ET.Element) -> tuple[float, float, float, float]:
        x, y, w, h = (float(rect.get(name, "")) for name in ("x", "y", "width", "height"))
        return x, y, x + w, y + h

    rects = list(ET.fromstring(many(3, 6).svg()).iter(f"{SVG}rect"))
    frames = [edges(rect) for rect in rects if rect.get("class", "").startswith("f")]
    for outer, inner in itertools.pairwise(frames):
        assert outer[0] < inner[0]
        assert outer[1] < inner[1]
        assert outer[2] > inner[2]
        assert outer[3] > inner[3]


def test_stretched_dims_are_hatched() -> None:
    root = ET.fromstring(broadcast().svg())
    hatched = [r for r in root.iter(f"{SVG}rect") if r.get("fill", "").startswith("url(#")]
    patterns = {pattern.get("id") for pattern in root.iter(f"{SVG}pattern")}
    assert len(hatched) == 2  # v's dim, and the legend's
    assert {rect.get("fill", "")[5:-1] for rect in hatched} <= patterns


def test_names_are_escaped() -> None:
    plan = hostile()
    for text in (plan.svg(), plan._repr_html_(), plan.html()):
        assert "<script" not in text
        assert "</svg>&" not in text
        assert "\x1b" not in text
    assert "tree['<script>alert(1)</script>']" in texts(plan.svg())


def test_two_pictures_on_one_page_share_no_name() -> None:
    def ids(picture: str) -> set[str]:
        return {e.get("id", "") for e in ET.fromstring(picture).iter() if e.get("id")}

    pictures = [GALLERY[name]().svg() for name in ("broadcast", "model", "outer")]
    assert all(map(ids, pictures))
    assert len(set.union(*map(ids, pictures))) == sum(len(ids(p)) for p in pictures)


def test_it_needs_nothing_else() -> None:
    for make in GALLERY.values():
        picture = make().svg()
        assert "http" not in picture.replace("http://www.w3.org/2000/svg", "")
        assert "@import" not in picture


CHECK = """
<script>
const said = [];
window.addEventListener("error", event => said.push("error: " + event.message));
window.addEventListener("load", () => {
  for (const svg of document.querySelectorAll("svg")) {
    const name = svg.querySelector("title").textContent;
    const edge = svg.getBoundingClientRect();
    const boxes = [...svg.querySelectorAll("text")].map(t => [t, t.getBoundingClientRect()]);
    boxes.forEach(([text, box], i) => {
      if (box.right > edge.right || box.bottom > edge.bottom || box.left < edge.left)
        said.push(name + ": outside: " + text.textContent);
      for (const [other, b] of boxes.slice(i + 1))
        if (box.left < b.right - 1 && b.left < box.right - 1 &&
            box.top < b.bottom - 2 && b.top < box.bottom - 2)
          said.push(name + ": over each other: " + text.textContent + " / " + other.textContent);
    });
    for (const text of svg.querySelectorAll("text.mid")) {
      const box = text.getBoundingClientRect();
      const held = [...svg.querySelectorAll("rect")].some(rect => {
        const r = rect.getBoundingClientRect();
        return r.height < 40 && r.left <= box.left && box.right <= r.right &&
               r.top <= box.top + 3 && box.bottom <= r.bottom + 3;
      });
      if (!held) said.push(name + ": wider than its box: " + text.textContent);
    }
  }
  const result = document.createElement("p");
  result.id = "checked";
  result.textContent = document.querySelectorAll("svg").length + " pictures|" + said.join("|");
  document.body.append(result);
});
</script>
"""


def opened(html: str, folder: Path) -> list[str]:
    """What the script above says in a headless browser."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("there is no Chromium")
    file = folder / "page.html"
    file.write_text(html, encoding="utf-8")
    flags = [
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        f"--user-data-dir={folder / 'user'}",
    ]
    found = subprocess.run(
        [browser, *flags, "--dump-dom", file.as_uri()],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    start = found.stdout.rindex('<p id="checked">') + len('<p id="checked">')
    return found.stdout[start : found.stdout.index("</p>", start)].split("|")


def test_in_a_browser(tmp_path: Path) -> None:
    plans = [make() for make in GALLERY.values()]
    plans += [many(arguments, axes) for arguments in range(1, 9) for axes in range(7)]
    html = plans[0].html()
    fragments = "".join(plan._repr_html_() for plan in plans[1:])
    html = html.replace("</body>", fragments + CHECK + "</body>")
    count, *said = opened(html, tmp_path)
    assert count == f"{len(plans)} pictures"
    assert said == [""]


def test_the_browser_sees_a_planted_mistake(tmp_path: Path) -> None:
    html = broadcast().html().replace(">float32[7,1,3]<", f">{'float32' * 40}<")
    html = html.replace("</body>", f"{CHECK}<script>nonsense()</script></body>")
    _, *said = opened(html, tmp_path)
    assert any("outside" in line for line in said)
    assert any("nonsense" in line for line in said)


def test_sizes_that_are_tracers_are_no_matter() -> None:
    seen: list[str] = []
    jax.eval_shape(lambda x: seen.append(auto_vmap(x=0)(lambda x: x).plan(x).svg()), f32(4))
    assert "vmap -1 · 4" in seen[0]


@pytest.mark.parametrize("look", ["dark", "light"])
def test_a_page_that_says_its_look_decides(look: str) -> None:
    """Not the reader's system: in Jupyter, VS Code, Colab, Sphinx's themes and Bootstrap."""
    picture = broadcast().svg()
    jupyter = {"dark": "false", "light": "true"}[look]
    places = (
        f"[data-jp-theme-light={jupyter}]",
        f".vscode-{look}",
        f"[theme={look}]",
        f"[data-theme={look}]",
        f"[data-bs-theme={look}]",
    )
    selector = f":is({','.join(places)}"
    found = {"dark": f"{selector}) .autovmap", "light": f".autovmap:not({selector}) *)"}[look]
    assert found in picture
