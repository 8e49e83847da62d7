// Preact bound to tagged templates: `html` is JSX without a compiler. Every other module takes these names from here.
import { Fragment, h, render } from "./vendor/preact.js";
import { useCallback, useEffect, useMemo, useRef, useState } from "./vendor/hooks.js";
import htm from "./vendor/htm.js";

export const html = htm.bind(h);
export { Fragment, render, useCallback, useEffect, useMemo, useRef, useState };
