// Every screen and the dialogs on it, in both themes and languages, and with the
// keyboard alone. One server for all of it in each worker.
import AxeBuilder from "@axe-core/playwright";
import type { Page } from "@playwright/test";
import { expect, test as base, Usher, type Login } from "./usher";

interface World {
  usher: Usher;
  conversation: string;
  decision: string;
}

const tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
const languages = [{ tag: "zh", level: 5 }, { tag: "en", level: 5 }];
const room = { units: 4, interruptible_units: 4, per_channel: {} };
const queue = { target_s: 60, max_wait_s: 240, require: [], relax: [], selection: "best_fit", overflow: [] };

/** world is a server on which every screen has something to show. */
const test = base.extend<object, { world: World }>({
  world: [
    async ({}, use) => {
      const usher = await Usher.start();
      await usher.agent("wang-fang", { name: "王芳", skills: [{ name: "refunds", level: 4 }], languages, capacity: room, teams: ["a"] });
      await usher.agent("li-lei", { name: "Li Lei", languages, capacity: { ...room, units: 40 } });
      await usher.agent("full", { languages, capacity: { units: 0, interruptible_units: 0, per_channel: {} } });
      await usher.publish({
        keyword_lists: [{ name: "human", phrases: ["人工"], except: ["人工智能"] }],
        skills: [{ name: "refunds", aliases: ["退款"], intents: [] }],
        calendars: [{ name: "shop", zone: "Asia/Shanghai", days: { mon: [{ from: "09:00", to: "18:00" }] }, exceptions: [] }],
        queues: [{ ...queue, id: "general", name: "General", require: [{ name: "refunds", level: 3 }], relax: [{ after_s: 30, require: [] }] }, { ...queue, id: "late", name: "Late", target_s: 1 }],
        overflow: [{ channel: "web", when: "too_long", after_s: 600, do: "leave_message" }],
        rules: [
          { id: "r", name: "Human", when: { all: [{ field: "message.text", op: "list_any", value: "human" }, { any: [{ field: "customer.tier", op: "at_least", value: "vip" }, { field: "customer.known", op: "eq", value: true }] }] }, then: { queue: "general", head_start_s: 60, tags: ["x"] } },
          { id: "late", name: "Late", when: { field: "message.text", op: "contains_any", value: ["late"] }, then: { queue: "late", require: [{ name: "nobody", level: 5 }] } },
        ],
      });
      await usher.call("PUT", "/v1/faq/parcel", { titles: { en: "Where is my parcel?", zh: "我的包裹在哪" }, answers: { en: "On its way.", zh: "在路上。" }, questions: [], tags: ["post"], enabled: true });
      await usher.call("PUT", "/v1/customers/c0", { name: "Ann 安", tier: "vip", tags: ["old"], attributes: { orders_12m: 4 } });
      const ids: string[] = [];
      for (let i = 0; i < 22; i++) {
        const m = await usher.message(i ? `matter ${i}` : "where is my refund", { customer: { id: `c${i}` } });
        ids.push(m.conversation.id);
        await usher.call("POST", `/v1/conversations/${m.conversation.id}/assign`, { agent_id: "li-lei" });
        if (i > 0 && i < 4) await usher.call("POST", `/v1/conversations/${m.conversation.id}/transfer`, { to_agent: "wang-fang", reason: "test" });
        if (i > 8) await usher.call("POST", `/v1/conversations/${m.conversation.id}/close`, { reason: "resolved" });
      }
      const m = await usher.message("too late", { customer: { id: "waits", name: "Wei" } });
      await usher.call("POST", `/v1/conversations/${ids[0]}/messages`, { author: "agent", agent_id: "li-lei", text: "yes" });
      await use({ usher, conversation: ids[0]!, decision: m.routing.decision_id });
      await usher.stop();
    },
    { scope: "worker", timeout: 120_000 },
  ],
});

async function signIn(page: Page, usher: Usher, who: Login, path = "/"): Promise<void> {
  await page.goto(usher.url + path);
  await page.locator("input[name=username]").fill(who.login);
  await page.locator("input[name=password]").fill(who.password);
  await page.keyboard.press("Enter");
  await page.locator("#rail").waitFor();
}

async function settled(page: Page): Promise<void> {
  await expect(page.locator("main h1")).toBeVisible();
  await expect(page.locator("[aria-busy=true]")).toHaveCount(0);
}

/** axe looks at the page. Its legacy mode does without a second page; there are no frames here. */
const axe = (page: Page) => new AxeBuilder({ page }).withTags(tags).options({ resultTypes: ["violations"] }).setLegacyMode(true).analyze();

/** What is opened on a screen: a button by its name in either language. */
const dialogs: [path: string, button: RegExp][] = [
  ["/live", /^(Assign|指派)$/],
  ["/live", /^(Why\?|为何？)$/],
  ["/conversations/:id", /^(Transfer|转接)$/],
  ["/conversations/:id", /^(Close|结束)$/],
  ["/policy", /^(Any channel, Waited too long|任何渠道.*等待过久)/],
  ["/policy/history", /^(Restore…|恢复…) 1$/],
  ["/faq", /^(New answer|新答案)$/],
  ["/faq", /^(Import|导入)$/],
  ["/faq", /^(Where is my parcel\?|我的包裹在哪)$/],
  ["/team", /^(Add|新增|添加)/],
  ["/customers/c0", /^(Change|更改|修改|调整)/],
  ["/channels", /^(Edit|编辑).*Web/],
  ["/settings", /^(Add an account|添加账号)$/],
  ["/settings/keys", /^(Make a key|新建密钥)$/],
];

for (const locale of ["en-GB", "zh-CN"]) {
  for (const colorScheme of ["light", "dark"] as const) {
    test.describe(`${locale}, ${colorScheme}`, () => {
      test.use({ locale, colorScheme });

      test("axe finds nothing on any screen", async ({ page, world }) => {
        test.setTimeout(240_000);
        const { usher } = world;
        const found: string[] = [];
        let looked = 0;
        const clean = async (where: string) => {
          looked++;
          const r = await axe(page);
          found.push(...r.violations.map((v) => `${where}: ${v.id}: ${v.nodes.map((n) => n.target.join(" ")).slice(0, 4).join(" | ")}`));
        };
        await page.goto(usher.url);
        await page.locator("input[name=username]").waitFor();
        await clean("sign-in");
        await page.locator("input[name=username]").fill("nobody");
        await page.locator("input[name=password]").fill("wrong");
        await page.keyboard.press("Enter");
        await page.locator(".error").waitFor();
        await clean("sign-in refused");
        await signIn(page, usher, usher.logins["admin"]!);
        const rail = await page.locator("#rail a").evaluateAll((as) => as.map((a) => a.getAttribute("href")!));
        const at = (p: string) => p.replace(":id", world.conversation);
        const paths = [
          ...rail, "/conversations/:id", "/conversations?queue=late&tier=vip", `/why/${world.decision}`, "/policy?rule=r&try=1", "/policy?rule=r&replay=1", "/policy/history?version=2", "/reports/assignment", "/reports/speed",
          "/reports/transfers", "/reports/channels", "/reports/tiers", "/reports/abandonment", "/settings/keys", "/settings/audit", "/customers/c0", "/nowhere",
        ];
        for (const path of paths) {
          await page.goto(usher.url + at(path));
          await settled(page);
          if (path.startsWith("/policy?")) {
            await page.locator("#rule-r .editor").waitFor();
            await page.locator("#queue-general .sentence").click();
            await page.locator("#calendar-shop .head").click();
            if (path.includes("replay")) {
              await page.locator(".replay [type=submit]").click();
              await page.locator(".replay table").waitFor();
            }
          }
          await clean(path);
          for (const [, button] of dialogs.filter(([p]) => p === path)) {
            await page.locator("main").getByRole("button", { name: button }).first().click();
            await page.locator("dialog[open]").waitFor();
            await expect(page.locator("[aria-busy=true]")).toHaveCount(0);
            await clean(`${path}, ${String(button)}`);
            await page.keyboard.press("Escape");
            await expect(page.locator("dialog[open]")).toHaveCount(0);
          }
        }
        // The shell's own: account, keyboard, a published draft.
        await page.locator("details.account summary").click();
        await clean("account");
        await page.keyboard.press("?");
        await page.locator("dialog[open]").waitFor();
        await clean("shortcuts");
        await page.keyboard.press("Escape");
        expect(found).toEqual([]);
        expect(looked).toBeGreaterThan(35);
      });

      test("axe finds nothing at the desk", async ({ page, world }) => {
        test.setTimeout(120_000);
        const { usher } = world;
        const id = `desk-${locale}-${colorScheme}`.toLowerCase();
        await usher.agent(id, { languages, skills: [{ name: "desk", level: 5 }] });
        const found: string[] = [];
        const clean = async (where: string) => {
          const r = await axe(page);
          found.push(...r.violations.map((v) => `${where}: ${v.id}: ${v.nodes.map((n) => n.target.join(" ")).slice(0, 4).join(" | ")}`));
        };
        await signIn(page, usher, await usher.account("agent", id), "/desk");
        await settled(page);
        await clean("nothing to do");
        const offers = page.getByRole("button", { name: /^(Accept|接单)$/ });
        const m = await usher.message("where is my refund?", { customer: { id } });
        await usher.call("POST", `/v1/conversations/${m.conversation.id}/assign`, { agent_id: id, override: true, reason: "test" });
        await page.locator(".mine a").first().click();
        await expect(page.getByRole("log")).toBeVisible();
        await settled(page);
        await clean("a conversation");
        await page.locator("main").getByRole("button", { name: /^(Transfer|转接)$/ }).click();
        await page.locator("dialog[open]").waitFor();
        await clean("transfer");
        await page.keyboard.press("Escape");
        await usher.message("hello", { customer: { id: `${id}-2` }, hints: { agent_id: id } });
        await offers.first().waitFor();
        await clean("an offer");
        await page.getByRole("button", { name: /^(Decline|拒绝)$/ }).first().click();
        await page.locator("dialog[open]").waitFor();
        await clean("declining");
        expect(found).toEqual([]);
      });
    });
  }
}

test("a page is reached by the skip link, and every stop of the keyboard is seen", async ({ page, world }) => {
  test.setTimeout(180_000);
  const { usher } = world;
  await signIn(page, usher, usher.logins["admin"]!);
  const rail = await page.locator("#rail a").evaluateAll((as) => as.map((a) => a.getAttribute("href")!));
  for (const path of [...rail, "/policy?rule=r"]) {
    await page.goto(usher.url + path);
    await settled(page);
    await page.keyboard.press("Tab");
    await expect(page.locator(".skip"), path).toBeFocused();
    await expect(page.locator(".skip")).toBeInViewport();
    await page.keyboard.press("Enter");
    await expect(page.locator("#main"), path).toBeFocused();
    // From there on: each stop shows that it is one, and the end is reached.
    let stops = 0;
    let ended = false;
    const unseen: string[] = [];
    for (; stops < 400 && !ended; stops++) {
      await page.keyboard.press("Tab");
      const s = await page.evaluate(() => {
        const e = document.activeElement as HTMLElement | null;
        if (!e || e === document.body || e === document.documentElement) return { ended: true, fault: "" };
        const c = getComputedStyle(e);
        const r = e.getBoundingClientRect();
        const inside = e instanceof HTMLInputElement && e.type === "date"; // its own parts have rings
        const ring = inside || (c.outlineStyle !== "none" && Number.parseFloat(c.outlineWidth) >= 2);
        const name = `${e.tagName.toLowerCase()}.${e.className} “${(e.getAttribute("aria-label") ?? e.textContent ?? "").trim().slice(0, 30)}”`;
        const top = r.width > 0 && r.height > 0 ? document.elementFromPoint(Math.min(innerWidth - 1, Math.max(0, r.left + r.width / 2)), Math.min(innerHeight - 1, Math.max(0, r.top + Math.min(r.height, 20) / 2))) : null;
        const covered = r.height < innerHeight / 2 && top !== null && !e.contains(top) && !top.contains(e) && top.closest("header, .toc, footer") !== null;
        return { ended: e.closest(".skip") !== null, fault: !ring ? `${name} has no ring` : covered ? `${name} is covered` : "" };
      });
      ended = s.ended;
      if (s.fault) unseen.push(s.fault);
    }
    expect(unseen, path).toEqual([]);
    expect(ended, `${path}: after ${stops} stops the keyboard is still inside`).toBe(true);
  }
});

test("g and a letter goes to every screen; Esc gives the focus back", async ({ page, world }) => {
  const { usher } = world;
  await signIn(page, usher, usher.logins["admin"]!, "/live");
  await page.keyboard.press("?");
  const rows = await page.locator("dialog[open] dl").evaluate((dl) =>
    [...dl.querySelectorAll("dt")].map((dt) => [...dt.querySelectorAll("kbd")].map((k) => k.textContent!)).filter((k) => k.length === 2 && k[0] === "g").map((k) => k[1]!),
  );
  await page.keyboard.press("Escape");
  const rail = page.locator("#rail a");
  expect(rows).toHaveLength(await rail.count());
  const reached = new Set<string>();
  for (const letter of rows) {
    await page.evaluate(() => (document.activeElement as HTMLElement | null)?.blur());
    await page.keyboard.press("g");
    await page.keyboard.press(letter);
    await settled(page);
    reached.add(new URL(page.url()).pathname);
  }
  expect(reached.size).toBe(rows.length);
  for (const [path, button] of dialogs) {
    await page.goto(usher.url + path.replace(":id", world.conversation));
    await settled(page);
    const opener = page.locator("main").getByRole("button", { name: button }).first();
    await opener.focus();
    await page.keyboard.press("Enter");
    await page.locator("dialog[open]").waitFor();
    expect(await page.evaluate(() => document.activeElement?.closest("dialog") !== null), `${path}: focus is in the dialog`).toBe(true);
    await page.keyboard.press("Escape");
    await expect(page.locator("dialog[open]")).toHaveCount(0);
    await expect(opener, `${path} ${String(button)}`).toBeFocused();
  }
});
