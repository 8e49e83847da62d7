// The size at which a built-in architecture is made: what stands behind its name in zoo:NAME@CxHxW/CLASSES.
import { html } from "./html.js";

const AXES = ["channels", "height", "width"];

/** A reference to the zoo taken apart: {zoo, name, size: [C,H,W] as texts, classes}; null where it is something else. */
export function zooOf(list, reference) {
  const [, name, size, classes] = /^zoo:([^@/]+)(?:@([^/]*))?(?:\/(.*))?$/.exec(reference ?? "") ?? [];
  const zoo = list.find((z) => z.name === name);
  if (!zoo) return null;
  const texts = size?.split("x") ?? zoo.shape;
  return { zoo, name, size: AXES.map((_, i) => String(texts[i] ?? "")), classes: String(classes ?? zoo.classes ?? "") };
}

/** And put together again, without what is the architecture's own. */
export function zooReference({ zoo, name, size, classes }) {
  const own = size.join("x") === zoo.shape.join("x");
  return `zoo:${name}${own ? "" : `@${size.join("x")}`}${zoo.classes && classes !== String(zoo.classes) ? `/${classes}` : ""}`;
}

/** The same architecture for the images of a data set ({shape, classes}); null where it has no fixed shape. */
function fitted(chosen, data) {
  if (!data?.shape?.every((n) => Number.isInteger(n))) return null;
  return { ...chosen, size: data.shape.map(String), classes: chosen.zoo.classes ? String(data.classes) : "" };
}

/** Fields for the size, and a button that takes it from the data set chosen beside. set(reference). */
export function ZooSize({ chosen, data, set }) {
  const { zoo, size, classes } = chosen;
  if (!zoo.suffix) return null;
  const number = (label, value, [minimum, maximum], change) =>
    html`<label>${label}<input type="number" min=${minimum} max=${maximum} step="1" value=${value} onInput=${(e) => set(zooReference({ ...chosen, ...change(e.target.value.trim()) }))} /></label>`;
  const side = (v, i) => number(AXES[i], v, i ? zoo.limits.side : zoo.limits.channels, (text) => ({ size: size.map((s, k) => (k === i ? text : s)) }));
  const fit = fitted(chosen, data), other = fit && zooReference(fit);
  return html`<div class="zoosize" role="group" aria-label="Size of the architecture">
    ${size.map(side)}${zoo.classes > 0 && number("classes", classes, zoo.limits.classes, (text) => ({ classes: text }))}
    ${other && other !== zooReference(chosen) && html`<button type="button" class="small" onClick=${() => set(other)}>As the data set</button>`}
  </div>`;
}
