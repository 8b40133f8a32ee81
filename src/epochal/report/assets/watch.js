// Following a training: ask the server that the page came from for updates, and draw them.

const WAIT = 2000; // milliseconds between two questions
const WAIT_WHEN_OVER = 5000;
const IDLE_SHARE = 300; // a drawing waits so many times as long as the last one took, because the browser then paints what it drew

const watch = () => {
  const wasOver = numbers.runs.every((run) => run.is_over);
  let drawnAt = performance.now(), cost = 0, isStale = false;
  const setLive = (isOn) => {
    document.querySelector('[data-live="on"]').hidden = !isOn;
    document.querySelector('[data-live="off"]').hidden = isOn;
  };
  const draw = () => {
    const begun = performance.now();
    if (!isStale || document.visibilityState !== "visible" || begun - drawnAt < IDLE_SHARE * cost) return;
    for (const chart of charts.values()) chart.renew(chart.linesOf());
    drawAll();
    drawnAt = performance.now();
    [cost, isStale] = [drawnAt - begun, false];
  };
  const ask = async () => {
    let isOver = false;
    try {
      const answers = await Promise.all(runs.map(fetchUpdate));
      isOver = answers.every((answer) => answer.is_over);
      if (answers.some((answer) => answer.reload) || (isOver && !wasOver)) { location.reload(); return; }
      for (const [place, { update }] of answers.entries()) if (update) { takeIn(place, update); isStale = true; }
      draw();
      setLive(true);
    } catch { setLive(false); }
    setTimeout(ask, isOver ? WAIT_WHEN_OVER : WAIT);
  };
  setTimeout(ask, WAIT);
};

const fetchUpdate = async (run) => {
  const token = new URLSearchParams(location.search).get("token");
  const address = `updates?${new URLSearchParams({ run: run.name, ...run.known() })}`;
  const answer = await fetch(address, { headers: { "X-Epochal-Token": token } });
  if (!answer.ok) throw new Error(answer.statusText);
  return answer.json();
};

const takeIn = (place, update) => {
  runs[place].append(update);
  const box = document.querySelector(`[data-run="${place}"]`), { position } = update;
  for (const name of ["epoch", "batch", "iteration"]) box.querySelector(`[data-now="${name}"]`).textContent = count(position[name]);
  const progress = box.querySelector("progress");
  if (progress) progress.value = position.iteration; // a budget of time has no known end
};
