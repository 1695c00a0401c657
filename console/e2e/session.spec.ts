import { expect, signIn, test } from "./usher";

test("a wrong password is refused, the right one opens the console", async ({ page, usher }) => {
  const admin = usher.logins["admin"]!;
  await page.goto(usher.url);
  await page.getByLabel("Login").fill(admin.login);
  await page.getByLabel("Password").fill("not that one");
  await page.getByRole("button", { name: "Sign in" }).click();
  await expect(page.getByText("Login and password do not fit.")).toBeVisible();
  await page.getByLabel("Password").fill(admin.password);
  await page.getByLabel("Password").press("Enter");
  await expect(page.getByRole("navigation", { name: "Screens" })).toBeVisible();
  await page.getByText("Administrator", { exact: true }).first().click();
  await page.getByRole("button", { name: "Sign out" }).click();
  await expect(page.getByRole("button", { name: "Sign in" })).toBeVisible();
});

test("a viewer sees no places that a role cannot open", async ({ page, usher }) => {
  await signIn(page, usher, await usher.account("viewer"));
  const rail = page.getByRole("navigation", { name: "Screens" });
  await expect(rail.getByRole("link")).toHaveText(["Live", "Conversations", "Customers", "Team", "Policy", "Reports"]);
  await page.goto(usher.url + "/settings");
  await expect(page.getByText("Your role does not open this page")).toBeVisible();
});

test("keys go to a screen, and can be switched off", async ({ page, usher }) => {
  await signIn(page, usher, usher.logins["admin"]!, "/live");
  await page.keyboard.press("g");
  await page.keyboard.press("p");
  await expect(page).toHaveURL(/\/policy/);
  await page.keyboard.press("?");
  const help = page.getByRole("dialog", { name: "Keyboard" });
  await expect(help).toContainText("Go to Live");
  await help.getByLabel("Single-key shortcuts").uncheck();
  await page.keyboard.press("Escape");
  await expect(help).toBeHidden();
  await page.keyboard.press("g");
  await page.keyboard.press("l");
  await expect(page).toHaveURL(/\/policy/);
});
