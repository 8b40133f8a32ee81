// Following a training: ask the server that the page came from for what is new, and draw it.

const WAIT = 1000; // milliseconds between questions, at least
const IDLE_SHARE = 100; // times what a question took to draw: so the page takes no more than 1 % of a core
const WAIT_WHEN_OVER = 5000;

const watch = () => {
  const wasOver = numbers.runs.every((run) => run.is_over);
  const setLive = (isOn) => {
    document.querySelector('[data-live="on"]').hidden = !isOn;
    document.querySelector('[data-live="off"]').hidden = isOn;
  };
  const ask = async () => {
    let wait = WAIT_WHEN_OVER;
    try {
      const answers = await Promise.all(runs.map((run, place) => fetchNews(place, run)));
      const isOver = answers.every((answer) => answer.is_over);
      if (answers.some((answer) => answer.reload) || (isOver && !wasOver)) { location.reload(); return; }
      const begun = performance.now();
      if (document.visibilityState === "visible") takeIn(answers);
      if (!isOver) wait = Math.max(WAIT, IDLE_SHARE * (performance.now() - begun));
      setLive(true);
    } catch { setLive(false); }
    setTimeout(ask, wait);
  };
  setTimeout(ask, WAIT);
};

const fetchNews = async (place, run) => {
  const answer = await fetch(`news?${new URLSearchParams({ run: place, ...run.known() })}`);
  if (!answer.ok) throw new Error(answer.statusText);
  return answer.json();
};

const takeIn = (answers) => {
  const fresh = answers.map((answer, place) => [answer.news, place]).filter(([news]) => news);
  for (const [news, place] of fresh) { runs[place].append(news); showPosition(place, news.position); }
  if (!fresh.length) return;
  for (const [name, chart] of charts) {
    const shown = chart.lines.map((line) => line.shown);
    chart.setLines(linesOf[name](), (number) => shown[number]);
  }
  setLanguage(root.lang);
};

const showPosition = (place, position) => {
  const box = document.querySelector(`[data-run="${place}"]`);
  if (!box) return;
  for (const name of ["epoch", "batch", "iteration"]) box.querySelector(`[data-now="${name}"]`).textContent = count(position[name]);
  box.querySelector("progress").value = position.iteration;
};
