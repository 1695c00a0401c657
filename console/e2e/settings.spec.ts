import { expect, signIn, test } from "./usher";

test("an account is made, signs in, and is disabled", async ({ page, usher, browser }) => {
  await usher.agent("ada");
  await signIn(page, usher, usher.logins["admin"]!, "/settings");
  await page.getByRole("button", { name: "Add an account" }).click();
  const dialog = page.getByRole("dialog", { name: "Add an account" });
  await dialog.getByLabel("Name").fill("Ada");
  await dialog.getByLabel("Login").fill("ada");
  await dialog.getByLabel("Role").selectOption("agent");
  await dialog.getByLabel("Agent", { exact: true }).selectOption("ada");
  await dialog.getByLabel("Password").fill("a long enough one");
  await dialog.getByRole("button", { name: "Save" }).click();
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("2 accounts sign in");
  const other = await (await browser.newContext({ locale: "en-GB" })).newPage();
  await signIn(other, usher, { login: "ada", password: "a long enough one" });
  await expect(other).toHaveURL(/\/desk/);
  await page.getByRole("button", { name: "Change: ada" }).click();
  await page.getByLabel("May not sign in").check();
  await page.getByRole("button", { name: "Save" }).click();
  await expect(page.getByRole("row", { name: /ada/ })).toContainText("disabled");
  await other.reload();
  await expect(other.getByRole("button", { name: "Sign in" })).toBeVisible();
  await other.context().close();
  await page.getByRole("link", { name: "Audit" }).click();
  await expect(page.getByRole("row", { name: /account.create/ })).toContainText("Administrator");
});

test("a key's secret is shown once, and opens the API", async ({ page, usher }) => {
  await signIn(page, usher, usher.logins["admin"]!, "/settings/keys");
  await page.getByRole("button", { name: "Make a key" }).click();
  const form = page.getByRole("dialog", { name: "Make a key" });
  await form.getByLabel("What is it for?").fill("shop front end");
  await form.getByRole("button", { name: "Make a key" }).click();
  const shown = page.getByRole("dialog", { name: "The secret, shown only now" });
  const secret = (await shown.locator("code").textContent()) ?? "";
  expect(secret).toMatch(/^usk_/);
  await shown.getByRole("button", { name: "Done" }).click();
  await expect(page.getByText(secret)).toHaveCount(0);
  const r = await fetch(`${usher.url}/v1/messages`, { method: "POST", headers: { Authorization: `Bearer ${secret}` }, body: JSON.stringify({ channel: "web", text: "hello" }) });
  expect(r.status).toBe(201);
});
