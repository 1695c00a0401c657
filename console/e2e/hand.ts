// The hand of somebody at the console, who counts what it does: every click,
// opening a list and choosing from it, every key that is not a letter of a text.
// Typing where the cursor already stands costs nothing.
import { expect, type Locator, type Page } from "@playwright/test";

export class Hand {
  readonly did: string[] = [];

  constructor(readonly page: Page) {}

  get count(): number {
    return this.did.length;
  }

  /** press clicks with the mouse. */
  async press(on: Locator, what: string): Promise<void> {
    await on.click({ timeout: 20_000 });
    this.did.push(what);
  }

  /** choose opens a list and picks from it: two. */
  async choose(from: Locator, label: string): Promise<void> {
    await expect(from).toBeEnabled();
    await expect(from.locator("option", { hasText: label }).first()).toBeAttached();
    await from.selectOption({ label });
    this.did.push(`open a list`, `choose ${label}`);
  }

  /** type writes into a box; where the cursor is not in it, it is clicked first. */
  async type(into: Locator, text: string): Promise<void> {
    await expect(into).toBeEditable();
    if (!(await into.evaluate((e) => e === document.activeElement))) await this.press(into, "click into a box");
    await this.page.keyboard.insertText(text);
  }

  /** key presses one key. */
  async key(name: string): Promise<void> {
    await this.page.keyboard.press(name);
    this.did.push(name);
  }
}
