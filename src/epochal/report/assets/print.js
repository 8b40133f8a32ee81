// The handout: two pages that are drawn when the page is printed, in its language and in light colours.

const LEAST_FIT = 0.55; // of the letters' size, where a page holds much

const printedPictures = (pictures) => {
  const of = (figure) => pictures.find((one) => one.figure === figure);
  const isShown = (name) => [...charts.keys()].find((key) => key === name);
  const metric = [...charts.keys()].filter((key) => key.startsWith("metric "));
  const matrix = document.querySelector("[data-matrix]");
  return {
    every: of(charts.get("every").figure),
    losses: of(charts.get(isShown("losses")).figure),
    metric: of(charts.get(metric.find((key) => key.endsWith("accuracy")) ?? metric[0] ?? "losses").figure),
    map: maps.length ? of(maps[0].figure) : null,
    matrix: matrix ? of(matrix) : null,
  };
};

// Make what a page holds fit on it: letters as large as they may be, pictures in the room that is left.
const fitSheet = (sheet, pictures) => {
  const boxes = [...sheet.querySelectorAll("[data-print]")];
  for (const box of boxes) box.replaceChildren();
  const isOver = () => sheet.scrollHeight > sheet.clientHeight + 1 || sheet.scrollWidth > sheet.clientWidth + 1;
  for (let fit = 1; fit >= LEAST_FIT; fit -= 0.03) {
    sheet.style.setProperty("--fit", fit);
    if (!isOver()) break;
  }
  for (const box of boxes) {
    const picture = pictures[box.dataset.print], { clientWidth: width, clientHeight: height } = box;
    if (picture && width && height) box.innerHTML = picture.svg("light", { width, height, edge: 0, title: 12, isShort: true });
  }
};

const drawHandout = (pictures) => {
  const handout = document.querySelector(".handout"), { view } = state;
  state.view = null;
  handout.classList.add("measured");
  for (const sheet of handout.querySelectorAll(".sheet")) fitSheet(sheet, printedPictures(pictures));
  handout.classList.remove("measured");
  state.view = view;
};
