/** first marks what has the focus when its dialog opens. */
export const first = (e: HTMLElement): void => {
  e.autofocus = true;
};
