import AxeBuilder from "@axe-core/playwright";
import { expect, signIn, test } from "./usher";

// Every screen of the shell in both themes and languages.
for (const lang of ["en-GB", "zh-CN"]) {
  for (const colorScheme of ["light", "dark"] as const) {
    test.describe(`${lang}, ${colorScheme}`, () => {
      test.use({ locale: lang, colorScheme });
      test("is clean of what axe finds", async ({ page, usher }) => {
        await usher.publish({
          keyword_lists: [{ name: "human", phrases: ["人工"], except: ["人工智能"] }],
          calendars: [{ name: "shop", zone: "Asia/Shanghai", days: { mon: [{ from: "09:00", to: "18:00" }] }, exceptions: [] }],
          rules: [{ id: "r", name: "Human", when: { all: [{ field: "message.text", op: "list_any", value: "human" }] }, then: { queue: "general", head_start_s: 60 } }],
        });
        const clean = async (where: string) => {
          const found = await new AxeBuilder({ page }).analyze();
          expect(found.violations.map((v) => `${where}: ${v.id}: ${v.nodes.map((n) => n.target.join(" ")).slice(0, 4).join(" | ")}`)).toEqual([]);
        };
        await page.goto(usher.url);
        await page.locator("input[name=username]").waitFor();
        await clean("sign-in");
        const admin = usher.logins["admin"]!;
        await page.locator("input[name=username]").fill(admin.login);
        await page.locator("input[name=password]").fill(admin.password);
        await page.locator("button[type=submit]").click();
        await page.locator("#rail").waitFor();
        for (const path of ["/policy?rule=r&try=1", "/policy/history?version=2", "/settings", "/settings/keys", "/settings/audit", "/nowhere"]) {
          await page.goto(usher.url + path);
          await page.locator("#title").waitFor();
          await expect(page.locator("[aria-busy=true]")).toHaveCount(0);
          if (path.startsWith("/policy?")) {
            await page.locator("#rule-r .editor").waitFor();
            await page.locator("#queue-general .sentence").click();
            await page.locator("#calendar-shop .head").click();
          }
          await clean(path);
        }
      });
    });
  }
}

test("a dialog is clean, too", async ({ page, usher }) => {
  await signIn(page, usher, usher.logins["admin"]!, "/settings/keys");
  await page.getByRole("button", { name: "Make a key" }).click();
  const found = await new AxeBuilder({ page }).analyze();
  expect(found.violations.map((v) => v.id)).toEqual([]);
});
