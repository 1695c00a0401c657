import { expect, signIn, test, type Usher } from "./usher";
import AxeBuilder from "@axe-core/playwright";
import type { Page } from "@playwright/test";

async function sit(page: Page, usher: Usher, id = "wang-fang"): Promise<void> {
  await usher.agent(id, { languages: [{ tag: "zh", level: 5 }, { tag: "en", level: 5 }] });
  await signIn(page, usher, await usher.account("agent", id), "/desk");
  await expect(page.getByLabel("Your presence")).toHaveValue("online");
}

test("an offer is accepted, answered and closed", async ({ page, usher }) => {
  await sit(page, usher);
  const m = await usher.message("my refund has not come", { customer: { id: "c1", name: "Ann" } });
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("1 offer for you");
  await expect(page).toHaveTitle(/^\(1\) Desk/);
  await expect(page.getByText("my refund has not come").first()).toBeVisible();
  await expect(page.getByText(/\d+ s left/)).toBeVisible();
  await page.getByRole("button", { name: "Accept" }).click();
  await page.getByLabel("Your answer").fill("I am looking into it");
  await page.getByLabel("Your answer").press("Enter");
  const log = page.getByRole("log");
  await expect(log.getByText("I am looking into it")).toHaveCount(1);
  await expect(page.getByRole("region", { name: "History over all channels" })).toContainText("my refund has not come");
  const axe = await new AxeBuilder({ page }).withTags(["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa"]).analyze();
  expect(axe.violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.target.join(" ")).join(" | ")}`)).toEqual([]);
  await expect(page.getByLabel("Your answer")).toHaveValue("");
  await usher.message("thank you", { customer: { id: "c1" }, conversation_id: m.conversation.id });
  await expect(log.getByText("thank you")).toBeVisible();
  await page.getByRole("button", { name: "Close", exact: true }).click();
  await expect(page.getByText("You have no conversation.")).toBeVisible();
  const c = await usher.call<{ status: string }>("GET", `/v1/conversations/${m.conversation.id}`);
  expect(c.status).toBe("closed");
});

test("an offer that expires while the tab is hidden goes, by the server's clock", async ({ page, usher, context }) => {
  const p = await usher.call<{ document: { offers: Record<string, unknown> } }>("GET", "/v1/policy");
  await usher.publish({ offers: { ...p.document.offers, expires_s: { chat: 5, email: 120 } } });
  await sit(page, usher);
  await usher.message("my parcel has not come");
  await expect(page.getByRole("button", { name: "Accept" })).toBeVisible();
  const other = await context.newPage();
  await other.goto("about:blank");
  await other.bringToFront();
  await other.waitForFunction(() => new Promise((done) => setTimeout(() => done(true), 6500))); // the offer's own five seconds
  await expect(page.getByRole("button", { name: "Accept" })).toHaveCount(0);
});

test("who accepts too late learns who has it", async ({ page, usher }) => {
  await sit(page, usher);
  await usher.agent("zhang-wei", { name: "张伟" });
  await usher.call("PUT", "/v1/agents/zhang-wei/presence", { presence: "away" });
  const m = await usher.message("hello, about my refund");
  const accept = page.getByRole("button", { name: "Accept" });
  await expect(accept).toBeVisible();
  // A supervisor gives it away between the press and the answer.
  await page.route("**/v1/offers/*/accept", async (route) => {
    await usher.call("POST", `/v1/conversations/${m.conversation.id}/assign`, { agent_id: "zhang-wei", override: true, reason: "he knows her" });
    await route.continue();
  });
  await accept.click();
  await expect(page.getByText("Already with 张伟.")).toBeVisible();
  await expect(accept).toHaveCount(0);
});

test("Enter that ends a composition does not send", async ({ page, usher }) => {
  await sit(page, usher);
  await usher.message("你好，我的退款还没到");
  await page.getByRole("button", { name: "Accept" }).click();
  const box = page.getByLabel("Your answer");
  await box.focus();
  const cdp = await page.context().newCDPSession(page);
  await cdp.send("Input.imeSetComposition", { text: "nihao", selectionStart: 5, selectionEnd: 5 });
  await cdp.send("Input.dispatchKeyEvent", { type: "rawKeyDown", key: "Enter", code: "Enter", windowsVirtualKeyCode: 229 });
  await expect(page.getByRole("log").getByText("nihao")).toHaveCount(0);
  await cdp.send("Input.insertText", { text: "你好" });
  await expect(box).toHaveValue("你好");
  await expect(page.getByRole("log").getByText("你好", { exact: true })).toHaveCount(0);
  await box.press("Enter");
  await expect(page.getByRole("log").getByText("你好", { exact: true })).toBeVisible();
});

test("drafts belong to their conversation and outlive a reload", async ({ page, usher }) => {
  await sit(page, usher);
  await usher.message("first matter", { customer: { id: "c1", name: "Ann" } });
  await page.getByRole("button", { name: "Accept" }).click();
  await page.getByLabel("Your answer").fill("draft for Ann");
  await usher.message("second matter", { customer: { id: "c2", name: "Ben" } });
  await page.getByRole("button", { name: "Accept" }).click();
  await expect(page.getByRole("heading", { name: "Ben" }).first()).toBeVisible();
  await expect(page.getByLabel("Your answer")).toHaveValue("");
  await page.getByLabel("Your answer").fill("draft for Ben");
  await page.getByRole("link", { name: /Ann/ }).click();
  await expect(page.getByLabel("Your answer")).toHaveValue("draft for Ann");
  await page.reload();
  await expect(page.getByLabel("Your answer")).toHaveValue("draft for Ann");
});

test("a message that could not be sent stays, and is stored once when sent again", async ({ page, usher }) => {
  await sit(page, usher);
  const m = await usher.message("my parcel has not come");
  await page.getByRole("button", { name: "Accept" }).click();
  // The answer is lost on its way back: the server has the message.
  let lost = false;
  await page.route("**/v1/conversations/*/messages", async (route) => {
    if (route.request().method() !== "POST" || lost) return route.continue();
    lost = true;
    await route.fetch();
    await route.abort();
  });
  await page.getByLabel("Your answer").fill("once");
  await page.getByLabel("Your answer").press("Enter");
  await page.getByRole("button", { name: "Send again" }).click();
  await expect(page.getByRole("button", { name: "Send again" })).toHaveCount(0);
  await expect(page.getByRole("log").getByText("once", { exact: true })).toHaveCount(1);
  const all = await usher.call<{ data: { author: string }[] }>("GET", `/v1/conversations/${m.conversation.id}/messages`);
  expect(all.data.filter((x) => x.author === "agent")).toHaveLength(1);
});

test("two missed offers set away, with a banner and one press back", async ({ page, usher }) => {
  test.setTimeout(90_000);
  const p = await usher.call<{ document: { offers: Record<string, unknown> } }>("GET", "/v1/policy");
  await usher.publish({ offers: { ...p.document.offers, expires_s: { chat: 5, email: 120 } } });
  await sit(page, usher);
  await usher.message("my refund has not come", { customer: { id: "c1" } });
  await expect(page.getByRole("button", { name: "Accept" })).toHaveCount(1);
  await expect(page.getByRole("button", { name: "Accept" })).toHaveCount(0, { timeout: 15_000 });
  await page.waitForFunction(() => new Promise((done) => setTimeout(() => done(true), 10_500))); // misses within ten seconds count once
  await usher.message("where is my parcel", { customer: { id: "c2" } });
  await expect(page.getByText("You missed offers and were set to Away.")).toBeVisible({ timeout: 20_000 });
  await page.getByRole("alert").getByRole("button", { name: "Go online" }).click();
  await expect(page.getByLabel("Your presence")).toHaveValue("online");
});
