// What becomes of each label of a tried image when thresholds move: the same choice as the
// server's, in the same steps. See verdicts.py.

// Decides about every label without regard to any other; null for what is fixed.
function alone(row, thresholds) {
  const { provider, threshold, fixed, confidence } = row.dataset;
  const sure = Number(confidence);
  const needed = threshold === undefined ? thresholds.get(provider) : Number(threshold);
  let outcome = null;
  if (fixed === undefined) {
    outcome = sure >= needed ? "applied" : sure >= thresholds.get("") ? "suggested" : "below";
  }
  return { row, provider, sure, needed, outcome, key: row.dataset.key, ...concepts(row) };
}

function concepts(row) {
  const { concept, above } = row.dataset;
  return { concept, above: above ? above.split(" ") : [] };
}

// Of the labels of one tag the surest counts; of equals the first.
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
    else if (one.outcome === "suggested") one.outcome = "below";
  }
}

// A broader tag says nothing above another one that stands at least as well.
function keepNarrowest(labels) {
  const broader = labels.filter((one) => one.concept);
  const above = (...outcomes) =>
    new Set(broader.filter((one) => outcomes.includes(one.outcome)).flatMap((one) => one.above));
  const applied = above("applied", "elsewhere");
  const suggested = new Set([...applied, ...above("suggested")]);
  const hidden = { applied, suggested };
  for (const one of broader) {
    if (hidden[one.outcome]?.has(one.concept)) one.outcome = "narrower";
  }
}

const byRank = (a, b) => b.sure - a.sure || (a.key < b.key ? -1 : a.key > b.key ? 1 : 0);

const ranked = (labels, outcome) => labels.filter((one) => one.outcome === outcome).sort(byRank);

// The surest first, and broader tags after the surest class of their provider.
function mostTelling(applied) {
  const surest = new Map();
  for (const { concept, provider, sure } of applied) {
    if (!concept) surest.set(provider, Math.max(surest.get(provider) ?? 0, sure));
  }
  const worth = ({ concept, provider, sure }) =>
    concept ? Math.min(sure, surest.get(provider) ?? sure) : sure;
  return [...applied].sort(
    (a, b) => worth(b) - worth(a) || Boolean(a.concept) - Boolean(b.concept) || byRank(a, b),
  );
}

function keepWithin(labels, maximum) {
  if (!maximum) return;
  const applied = labels.filter((one) => one.outcome === "applied");
  for (const one of mostTelling(applied).slice(maximum)) one.outcome = "over";
}

const DIGITS = 2;
const MOST_DIGITS = 20;

// Both with two digits, or with as many as tell which is smaller; see explain.py.
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
  for (const { row, outcome, sure, needed } of labels) {
    row.classList.toggle("at-applies", outcome === "applied");
    if (outcome === null) continue;
    const values = {
      ...figures(sure, needed, row.querySelector(".at-number").textContent),
      most: trial.dataset.maximum,
    };
    const sentence = reasons[outcome].replace(/%\((\w+)\)s/g, (_, name) => values[name]);
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
 * Judge the labels of a tried image, and write what becomes of each.
 *
 * @param {Element} trial
 * @param {Map<string, number>} thresholds - by provider; "" is the one for suggestions.
 */
export function judge(trial, thresholds) {
  const labels = [...trial.querySelectorAll("tr[data-label]")].map((row) => alone(row, thresholds));
  keepSurest(labels);
  keepNarrowest(labels);
  keepWithin(labels, Number(trial.dataset.maximum));
  show(trial, labels, thresholds);
}
