import { expect, signIn, test, type Usher } from "./usher";

/** work makes conversations that were accepted, some of them passed on. */
async function work(usher: Usher, n: number, passed: number): Promise<void> {
  for (const id of ["wang-fang", "li-lei"]) await usher.agent(id, { capacity: { units: 200, interruptible_units: 9, per_channel: {} } });
  for (let i = 0; i < n; i++) {
    const m = await usher.message(`matter ${i}`, { customer: { id: `c${i}` } });
    const id = m.conversation.id;
    await usher.call("POST", `/v1/conversations/${id}/assign`, { agent_id: "wang-fang" });
    await usher.call("POST", `/v1/conversations/${id}/messages`, { author: "agent", agent_id: "wang-fang", text: "yes" });
    if (i < passed) await usher.call("POST", `/v1/conversations/${id}/transfer`, { to_agent: "li-lei", reason: "test" });
  }
}

test("did transfers fall? it is answered in two presses after the sign-in", async ({ page, usher }) => {
  await work(usher, 24, 6);
  await signIn(page, usher, await usher.account("manager"));
  await page.getByRole("navigation", { name: "Screens" }).getByRole("link", { name: "Reports" }).click();
  await page.getByRole("navigation", { name: "Reports" }).getByRole("link", { name: "Transfers" }).click();
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("Transfer rate: 25.0%");
  await expect(page.getByText("nothing to compare").first()).toBeVisible(); // there was no week before
});

test("every figure opens as many rows as it says, and its CSV has as many", async ({ page, usher }) => {
  test.setTimeout(180_000);
  await work(usher, 24, 6);
  await signIn(page, usher, await usher.account("manager"), "/reports/transfers");
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("Transfer rate: 25.0%");
  for (const at of ["/reports/transfers", "/reports/assignment", "/reports/speed", "/reports/abandonment", "/reports/tiers"]) {
    await page.goto(usher.url + at);
    const links = page.locator(".kpis .value a");
    await expect(links.first()).toBeVisible();
    const figures = await links.evaluateAll((as) => as.map((a) => ({ href: a.getAttribute("href")!, says: a.getAttribute("aria-label")! })));
    expect(figures.length).toBeGreaterThan(1);
    for (const f of figures) {
      const said = Number(/open the ([\d,]+) behind it$/.exec(f.says)?.[1]?.replace(/,/g, ""));
      await page.goto(usher.url + f.href);
      await expect(page.getByRole("heading", { level: 1 }), f.says).toHaveText(new RegExp(`^${said} behind`));
      if (said === 0) continue;
      await expect(page.locator("tbody tr"), f.says).toHaveCount(Math.min(said, 100));
      const q = new URL(usher.url + f.href).searchParams;
      const report = q.get("report");
      q.delete("report");
      const csv = await fetch(`${usher.url}/v1/reports/${report}/conversations?${q}`, { headers: { Authorization: `Bearer ${usher.key}`, Accept: "text/csv" } });
      const lines = (await csv.text()).trimEnd().split("\r\n");
      expect(lines.length - 1, f.says).toBe(said);
    }
  }
});

test("few cases print no rate", async ({ page, usher }) => {
  await work(usher, 3, 1);
  await signIn(page, usher, await usher.account("viewer"), "/reports/transfers");
  await expect(page.locator('[data-metric="transfer_rate"]')).toHaveText(/— \(3\)/);
  await expect(page.locator('[data-metric="accepted"]')).toHaveText("3");
});

test("a change of zone moves what today is", async ({ page, usher }) => {
  await signIn(page, usher, await usher.account("manager"), "/reports/overview?range=today");
  const line = page.getByText(/, Europe\/Berlin/);
  await expect(line).toBeVisible();
  const [r] = await Promise.all([
    page.waitForRequest((q) => q.url().includes("/v1/reports/overview?") && q.url().includes("Kiritimati")),
    page.evaluate(() => localStorage.setItem("usher.zone", "Pacific/Kiritimati")).then(() => page.reload()),
  ]);
  await expect(page.getByText(/, Pacific\/Kiritimati/)).toBeVisible();
  const from = new Date(new URL(r.url()).searchParams.get("from")!);
  const there = new Intl.DateTimeFormat("en-GB", { timeZone: "Pacific/Kiritimati", hour: "2-digit", minute: "2-digit", hourCycle: "h23" }).format(from);
  expect(there).toBe("00:00");
});

test("definitions open by the keyboard, the chart has a table, the file has a name", async ({ page, usher }) => {
  await work(usher, 21, 2);
  await signIn(page, usher, await usher.account("manager"), "/reports/transfers");
  await page.getByRole("button", { name: /^Transfer rate\./ }).first().focus();
  await page.keyboard.press("Enter");
  await expect(page.getByText("conversations with at least one transfer after acceptance ÷ accepted").first()).toBeVisible();
  await page.keyboard.press("Escape");
  await page.getByRole("button", { name: "Show as table" }).click();
  await expect(page.getByRole("region", { name: "Transfer rate over time" }).locator("tbody tr").last()).toContainText("%");
  const [file] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "CSV" }).click()]);
  expect(file.suggestedFilename()).toMatch(/^transfers-\d{4}-\d\d-\d\d\.csv$/);
});

test("at 1280 px and 200 % zoom nothing runs out of the page, in both languages", async ({ page, usher }) => {
  test.setTimeout(180_000);
  await work(usher, 3, 1);
  const m = await usher.message("my parcel has not come", { customer: { id: "waits" } });
  await page.setViewportSize({ width: 640, height: 450 });
  await page.goto(usher.url);
  const admin = usher.logins["admin"]!;
  await page.getByLabel("Login").fill(admin.login);
  await page.getByLabel("Password").fill(admin.password);
  await page.getByRole("button", { name: "Sign in" }).click();
  await expect(page.locator("main h1")).toBeVisible();
  const paths = ["/live", "/conversations", `/conversations/${m.conversation.id}`, `/why/${m.routing.decision_id}`, "/reports/overview", "/reports/transfers", "/reports/speed", "/faq", "/channels"];
  for (const lang of ["en", "zh"]) {
    await page.evaluate((l) => localStorage.setItem("usher.language", l), lang);
    for (const path of paths) {
      await page.goto(usher.url + path);
      await expect(page.locator("main h1")).toBeVisible();
      await expect(page.locator("[aria-busy=true]")).toHaveCount(0);
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      expect(wide, `${lang} ${path}`).toBeLessThanOrEqual(0);
    }
  }
});
