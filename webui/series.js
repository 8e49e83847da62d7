// The numbers of a job while they come in: named series, each {steps, values} in rising order of step.

const MOST = 4000; // points kept of one series; beyond that every second old one goes

export const fromMetrics = (metrics) => new Map(Object.entries(metrics.series).map(([name, s]) => [name, { steps: [...s.steps], values: [...s.values] }]));

/** Add one point. A step that is there already is replaced: streams overlap with what was loaded. */
export function append(all, name, step, value) {
  if (!all.has(name)) all.set(name, { steps: [], values: [] });
  const s = all.get(name);
  let i = s.steps.length;
  while (i > 0 && s.steps[i - 1] >= step) i--;
  const same = s.steps[i] === step;
  s.steps.splice(i, same ? 1 : 0, step);
  s.values.splice(i, same ? 1 : 0, value);
  if (s.steps.length > MOST) {
    const keep = (_, k) => k % 2 === 0 || k > MOST / 2;
    s.steps = s.steps.filter(keep);
    s.values = s.values.filter(keep);
  }
}

export const last = (all, name) => all.get(name)?.values.at(-1);
