// Judges the labels of a tried image again when thresholds move, in the same steps as the
// server. See tags/rules.py.

// Judges one label alone. The outcome is null if no threshold can change it.
function alone(row, thresholds) {
  const { provider, threshold, fixed, confidence } = row.dataset;
  const suggestedAtMost = row.dataset.suggestedAtMost !== undefined;
  const sure = Number(confidence);
  const needed = threshold === undefined ? thresholds.get(provider) : Number(threshold);
  let outcome = null;
  if (fixed === undefined) {
    outcome = byConfidence(sure, needed, thresholds.get(""), suggestedAtMost);
  }
  const isDoubted = suggestedAtMost && sure >= needed;
  return { row, provider, sure, needed, outcome, isDoubted, key: row.dataset.key, ...concepts(row) };
}

function byConfidence(sure, needed, suggested, suggestedAtMost) {
  if (sure >= needed && !suggestedAtMost) return "applied";
  if (suggested < 1 && sure >= suggested) return "suggested";
  return sure >= needed ? "doubtful" : "below";
}

function concepts(row) {
  const { concept, hides, part } = row.dataset;
  return { concept, hides: hides ? hides.split(" ") : [], part };
}

// Keeps the most confident label of each tag, and the first of equal ones.
function keepSurest(labels) {
  const best = new Map();
  for (const outcome of ["applied", "suggested"]) {
    for (const one of labels) {
      if (one.outcome !== outcome || !one.key) continue;
      const first = best.get(one.key);
      if (!first || (first.outcome === outcome && one.sure > first.sure)) best.set(one.key, one);
    }
  }
  for (const one of labels) {
    const first = best.get(one.key);
    if (!first || first === one) continue;
    if (one.outcome === first.outcome) one.outcome = "elsewhere";
    else if (one.outcome === "suggested") one.outcome = one.isDoubted ? "doubtful" : "below";
  }
}

// Drops a concept that another one hides with the same outcome or a better one.
function keepNarrowest(labels) {
  const known = labels.filter((one) => one.concept);
  const hiddenBy = (...outcomes) =>
    new Set(known.filter((one) => outcomes.includes(one.outcome)).flatMap((one) => one.hides));
  const applied = hiddenBy("applied", "elsewhere");
  const suggested = new Set([...applied, ...hiddenBy("suggested")]);
  const hidden = { applied, suggested };
  for (const one of known) {
    if (hidden[one.outcome]?.has(one.concept)) one.outcome = "narrower";
  }
}

const byRank = (a, b) => b.sure - a.sure || (a.key < b.key ? -1 : a.key > b.key ? 1 : 0);

const ranked = (labels, outcome) => labels.filter((one) => one.outcome === outcome).sort(byRank);

const SURE_CLASS = 0.5;

// Sorts by confidence, and broader tags after a sure class of their provider.
function mostTelling(applied) {
  const surest = new Map();
  for (const { part, provider, sure } of applied) {
    if (!part) surest.set(provider, Math.max(surest.get(provider) ?? 0, sure));
  }
  const isBroader = ({ part }) => part === "broader";
  const worth = (one) => {
    const best = surest.get(one.provider) ?? 0;
    return isBroader(one) && best >= SURE_CLASS ? Math.min(one.sure, best) : one.sure;
  };
  return [...applied].sort(
    (a, b) => worth(b) - worth(a) || isBroader(a) - isBroader(b) || byRank(a, b),
  );
}

function keepWithin(labels, maximum) {
  if (!maximum) return;
  const applied = labels.filter((one) => one.outcome === "applied");
  for (const one of mostTelling(applied).slice(maximum)) one.outcome = "over";
}

const DIGITS = 2;
const MOST_DIGITS = 20;

// Writes both with two digits, or with more if they look equal. See tags/explanation.py.
function figures(sure, needed, shown) {
  let digits = DIGITS;
  while (sure < needed && sure.toFixed(digits) === needed.toFixed(digits) && digits < MOST_DIGITS) {
    digits += 1;
  }
  const short = Number(needed.toFixed(DIGITS)) === needed;
  return {
    confidence: digits === DIGITS ? shown : sure.toFixed(digits),
    threshold: needed.toFixed(short ? DIGITS : digits),
  };
}

function show(trial, labels, thresholds) {
  const reasons = JSON.parse(trial.dataset.reasons);
  for (const { row, outcome, sure, needed, isDoubted } of labels) {
    row.classList.toggle("at-applies", outcome === "applied");
    if (outcome === null) continue;
    const values = {
      ...figures(sure, needed, row.querySelector(".at-number").textContent),
      most: trial.dataset.maximum,
    };
    const reason = isDoubted && outcome === "suggested" ? "doubtful suggested" : outcome;
    const sentence = reasons[reason].replace(/%\((\w+)\)s/g, (_, name) => values[name]);
    row.querySelector("[data-outcome]").textContent = sentence;
  }
  for (const table of trial.querySelectorAll("table")) {
    const row = table.querySelector("tr[data-label]");
    const head = table.querySelector("thead th:last-child");
    if (row) head.textContent = head.textContent.replace(/\d+\.\d+/, thresholds.get(row.dataset.provider).toFixed(2));
  }
  list(trial.querySelector("[data-trial-summary]"), ranked(labels, "applied"));
  list(trial.querySelector("[data-trial-suggested]"), ranked(labels, "suggested"));
}

function list(place, labels) {
  if (!place) return;
  const names = labels.map((one) => one.row.dataset.tag).join(", ");
  place.textContent = names ? `${place.dataset.some} ${names}` : (place.dataset.none ?? "");
}

/**
 * Judge the labels of a tried image, and show the outcome of each.
 *
 * @param {Element} trial
 * @param {Map<string, number>} thresholds - by provider; "" is the threshold of suggestions.
 */
export function judge(trial, thresholds) {
  const labels = [...trial.querySelectorAll("tr[data-label]")].map((row) => alone(row, thresholds));
  keepSurest(labels);
  keepNarrowest(labels);
  keepWithin(labels, Number(trial.dataset.maximum));
  show(trial, labels, thresholds);
}
