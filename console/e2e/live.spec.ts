import { expect, signIn, test } from "./usher";

// An agent without languages speaks the workspace's only.
const both = { languages: [{ tag: "zh", level: 5 }, { tag: "en", level: 5 }] };

const waiting = (page: import("@playwright/test").Page) => page.getByRole("region", { name: "Who waits" }).locator("tbody tr");

test("the waiting list grows without reload, and a taken conversation leaves it", async ({ page, usher }) => {
  await signIn(page, usher, await usher.account("supervisor"), "/live");
  await expect(page.getByText("Nobody waiting", { exact: true })).toBeVisible();
  await usher.message("where is my parcel");
  await expect(waiting(page)).toHaveCount(1);
  await usher.message("my refund has not come");
  await expect(waiting(page)).toHaveCount(2);
  await expect(page.getByTestId("waiting")).toHaveText("2");
  await usher.agent("wang-fang", both);
  // Both are offered to her at once: they wait no more, and are told apart.
  await expect(page.getByTestId("waiting")).toHaveText("0");
  await expect(page.getByText("offered to wang-fang").first()).toBeVisible();
});

test("the order stands still under the pointer, and the action takes the row that was pressed", async ({ page, usher }) => {
  await usher.agent("wang-fang", { capacity: { units: 0, interruptible_units: 0, per_channel: {} } });
  const first = await usher.message("first");
  const second = await usher.message("second");
  await signIn(page, usher, await usher.account("supervisor"), "/live");
  await expect(waiting(page)).toHaveCount(2);
  const row = page.locator(`tr[data-id="${second.conversation.id}"]`);
  await row.hover();
  // The row above goes while the pointer is in the list.
  await usher.call("POST", `/v1/conversations/${first.conversation.id}/close`, { reason: "resolved" });
  await usher.message("third");
  await expect(page.getByRole("button", { name: "2 changes, apply" })).toBeVisible();
  await expect(waiting(page)).toHaveCount(2);
  await expect(page.locator(`tr[data-id="${first.conversation.id}"]`)).toContainText("taken");
  await row.getByRole("button", { name: "Assign" }).click();
  await expect(page.getByRole("dialog", { name: `Assign ${second.conversation.customer_id}` })).toBeVisible();
});

test("an apply button puts the list in order at once", async ({ page, usher }) => {
  const first = await usher.message("first");
  await usher.message("second");
  await signIn(page, usher, await usher.account("supervisor"), "/live");
  await expect(waiting(page)).toHaveCount(2);
  await waiting(page).last().focus();
  await usher.call("POST", `/v1/conversations/${first.conversation.id}/close`, { reason: "resolved" });
  await page.getByRole("button", { name: "1 change, apply" }).click();
  await expect(waiting(page)).toHaveCount(1);
});

test("who cannot take a conversation is listed with the reason, and an override needs one", async ({ page, usher }) => {
  await usher.agent("full", { capacity: { units: 0, interruptible_units: 0, per_channel: {} } });
  await usher.agent("gone");
  await usher.call("PUT", "/v1/agents/gone/presence", { presence: "away" });
  const m = await usher.message("help");
  await signIn(page, usher, await usher.account("supervisor"), "/live");
  await waiting(page).first().getByRole("button", { name: "Assign" }).click();
  const dialog = page.getByRole("dialog");
  await expect(dialog.getByRole("row", { name: /full/ })).toContainText(/no (free unit|room)/);
  await expect(dialog.getByRole("row", { name: /gone/ })).toContainText("Away");
  await expect(dialog.getByRole("button", { name: "Choose full" })).toBeDisabled();
  await dialog.getByLabel("Assign although it exceeds the limits").check();
  await dialog.getByRole("button", { name: "Choose full" }).click();
  await expect(dialog.getByText("A reason is needed")).toBeVisible();
  await dialog.getByLabel("Reason", { exact: true }).fill("nobody else is here");
  await dialog.getByRole("button", { name: "Choose full" }).click();
  await expect(dialog).toBeHidden();
  const c = await usher.call<{ status: string; agent_id: string }>("GET", `/v1/conversations/${m.conversation.id}`);
  expect(c).toMatchObject({ status: "assigned", agent_id: "full" });
});

test("a manual assignment that comes too late says who has it", async ({ page, usher }) => {
  await usher.agent("wang-fang", { capacity: { units: 0, interruptible_units: 0, per_channel: {} } });
  await usher.agent("li-lei", { capacity: { units: 0, interruptible_units: 0, per_channel: {} } });
  const m = await usher.message("help");
  await signIn(page, usher, await usher.account("supervisor"), "/live");
  await waiting(page).first().getByRole("button", { name: "Assign" }).click();
  const dialog = page.getByRole("dialog");
  await expect(dialog.getByRole("row", { name: /li-lei/ })).toBeVisible();
  await dialog.getByLabel("Assign although it exceeds the limits").check();
  await dialog.getByLabel("Reason", { exact: true }).fill("it is urgent");
  await usher.call("POST", `/v1/conversations/${m.conversation.id}/assign`, { agent_id: "wang-fang", override: true, reason: "first" });
  await dialog.getByRole("button", { name: "Choose li-lei" }).click();
  await expect(dialog.getByText("Too late: it is already with wang-fang.")).toBeVisible();
  const c = await usher.call<{ agent_id: string }>("GET", `/v1/conversations/${m.conversation.id}`);
  expect(c.agent_id).toBe("wang-fang");
});

test("when the server is gone the pill says so, and the list resumes without gap or repetition", async ({ page, usher }) => {
  test.setTimeout(120_000);
  const before = await usher.message("before");
  await signIn(page, usher, await usher.account("supervisor"), "/live");
  await expect(waiting(page)).toHaveCount(1);
  await usher.end();
  await expect(page.getByText(/Not live since \d\d:\d\d:\d\d/).first()).toBeVisible({ timeout: 40_000 });
  await expect(page.getByText("These figures are not live: the stream is silent.")).toBeVisible();
  await usher.restart();
  await usher.message("while it came back");
  await expect(page.getByRole("banner").getByRole("status")).toContainText("Live", { timeout: 20_000 });
  await expect(waiting(page)).toHaveCount(2, { timeout: 20_000 });
  await expect(page.locator(`tr[data-id="${before.conversation.id}"]`)).toHaveCount(1);
});

test("seven tabs are live over one connection each host allows", async ({ context, usher }) => {
  const who = await usher.account("supervisor");
  const first = await context.newPage();
  await signIn(first, usher, who, "/live");
  const pages = [first];
  for (let i = 0; i < 6; i++) {
    const p = await context.newPage();
    await p.goto(usher.url + "/live");
    pages.push(p);
  }
  await usher.message("my parcel has not come");
  for (const p of pages) {
    await p.bringToFront(); // a hidden tab keeps the stream, and rests its drawing
    await expect(waiting(p)).toHaveCount(1, { timeout: 20_000 });
  }
});

test("a late queue raises one alarm, which can be acknowledged and clears", async ({ page, usher }) => {
  test.setTimeout(120_000);
  const policy = await usher.call<{ document: { queues: { id: string; target_s: number }[] } }>("GET", "/v1/policy");
  await usher.publish({ queues: policy.document.queues.map((q) => ({ ...q, target_s: 1 })) });
  const m = await usher.message("help");
  await signIn(page, usher, await usher.account("supervisor"), "/live");
  const alarms = page.locator("#alarms");
  await expect(alarms.getByText(/the oldest waits longer than the target/)).toHaveCount(1, { timeout: 20_000 });
  const late = alarms.locator("li", { hasText: "the oldest waits longer" });
  await late.getByRole("button", { name: "Acknowledge" }).click();
  await expect(late).toContainText("acknowledged by");
  await usher.call("POST", `/v1/conversations/${m.conversation.id}/close`, { reason: "resolved" });
  await expect(late).toHaveCount(0, { timeout: 45_000 });
});

test("a viewer sees the floor without buttons that do nothing for him", async ({ page, usher }) => {
  await usher.message("help");
  await signIn(page, usher, await usher.account("viewer"), "/live");
  await expect(waiting(page)).toHaveCount(1);
  await expect(waiting(page).getByRole("button", { name: "Assign" })).toHaveCount(0);
  await expect(page.getByRole("button", { name: "Acknowledge" })).toHaveCount(0);
});

test("markup in a name or a message stays text", async ({ page, usher }) => {
  const bad = "<img src=x onerror=\"document.title='hit'\"><b>bold</b>";
  await usher.agent("marked", { name: bad });
  const m = await usher.message(bad, { customer: { id: "c1", name: bad } });
  await signIn(page, usher, usher.logins["admin"]!, `/conversations/${m.conversation.id}`);
  await expect(page.getByText(bad).first()).toBeVisible();
  await expect(page.locator("main img, main b")).toHaveCount(0);
  await page.goto(usher.url + "/live");
  await expect(page.getByRole("region", { name: "Agents" })).toContainText("<b>bold</b>");
  await expect(page.locator("main img")).toHaveCount(0);
  expect(await page.title()).not.toBe("hit");
});

test("j, k and Enter walk the list and open a conversation", async ({ page, usher }) => {
  await usher.message("first");
  const second = await usher.message("second");
  await signIn(page, usher, await usher.account("supervisor"), "/live");
  await expect(waiting(page)).toHaveCount(2);
  await page.keyboard.press("j");
  await page.keyboard.press("j");
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(new RegExp(`/conversations/${second.conversation.id}`));
});
