// Before and after: the divider that is dragged or moved by arrow keys.

import { t } from "./texts.js";

/** Ties the divider's element to a `PhotoView`. */
export function setUpDivider(view, viewport, element) {
  const place = () => {
    element.hidden = !view.comparing;
    element.style.left = `${view.dividerX}px`;
    const value = Math.round(view.divider * 100);
    element.setAttribute("aria-valuenow", value);
    element.setAttribute("aria-valuetext", t("dividerAt", { before: value, after: 100 - value }));
  };
  view.addEventListener("view", place);

  element.addEventListener("pointerdown", (event) => {
    event.preventDefault();
    element.focus({ focusVisible: false });
    element.setPointerCapture(event.pointerId);
  });
  element.addEventListener("pointermove", (event) => {
    if (!element.hasPointerCapture(event.pointerId)) return;
    const { left, right } = view.visibleRange;
    view.divider = (event.clientX - viewport.getBoundingClientRect().left - left) / (right - left);
  });
  element.addEventListener("dblclick", () => { view.divider = 0.5; });
  element.addEventListener("keydown", (event) => {
    const large = event.shiftKey ? 0.1 : 0.02;
    const steps = {
      ArrowLeft: view.divider - large, ArrowDown: view.divider - large,
      ArrowRight: view.divider + large, ArrowUp: view.divider + large,
      PageDown: view.divider - 0.1, PageUp: view.divider + 0.1, Home: 0, End: 1,
    };
    if (!(event.key in steps)) return;
    event.preventDefault();
    view.divider = steps[event.key];
  });
  place();
}
