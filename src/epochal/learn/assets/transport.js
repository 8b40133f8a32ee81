// How the page gets its answers: from the server that it came from, or from the recording that it carries.

const page = JSON.parse(document.getElementById("numbers").textContent);
const isLive = page.recording === null;

// JSON as Python's `json.dumps(…, sort_keys=True, separators=(",", ":"))` writes it.
const canonical = (value) => {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  return `{${Object.keys(value).sort().map((key) => `${JSON.stringify(key)}:${canonical(value[key])}`).join(",")}}`;
};

const withoutNulls = (body) => Object.fromEntries(Object.entries(body).filter(([, value]) => value !== null && value !== undefined));

const askServer = async (path, body) => {
  const response = await fetch(path, {
    method: "POST", headers: { "Content-Type": "application/json", "X-Epochal-Token": page.token }, body: JSON.stringify(body),
  });
  return response.json();
};

const askRecording = async (path, body) => page.recording.answers[`${path} ${canonical(body)}`];

// The answer to a question; throws an error whose `texts` say in each language why there is none.
const ask = async (path, question) => {
  const body = withoutNulls(question);
  let answer;
  try { answer = await (isLive ? askServer : askRecording)(path, body); } catch { answer = null; }
  if (answer?.ok) return answer;
  const texts = answer?.error ?? texted(isLive ? "learn.no_answer" : "learn.not_recorded");
  throw Object.assign(new Error(texts.en), { texts });
};

// Whether this can be asked at all: of a server always, of a recording what it holds.
const canAsk = (path, body) => isLive || `${path} ${canonical(withoutNulls(body))}` in page.recording.answers;
