import { expect, signIn, test } from "./usher";

interface Decision {
  id: string;
  funnel: { before: number; after: number }[];
  candidates: { rejected?: string }[];
}

test("the funnel adds up in many decisions, on the screen as in the record", async ({ page, usher }) => {
  test.setTimeout(180_000);
  const languages = ["zh", "en"];
  for (let i = 0; i < 8; i++) {
    await usher.agent(`agent-${i}`, {
      capacity: { units: i % 4, interruptible_units: 1, per_channel: {} }, languages: [{ tag: languages[i % 2], level: 5 }], skills: i % 3 ? [{ name: "refunds", level: (i % 5) + 1 }] : [],
    });
  }
  const words = ["我要退款", "where is my refund", "发票", "the app crashes", "你好，有人吗", "parcel lost", "投诉", "hello"];
  const ids: string[] = [];
  for (let i = 0; ids.length < 200 && i < 60; i++) {
    const r = await usher.message(`${words[i % words.length]} ${i}`, { customer: { id: `c${i}` } });
    const list = await usher.call<{ data: Decision[] }>("GET", `/v1/conversations/${r.conversation.id}/decisions`);
    ids.push(...list.data.map((d) => d.id));
    if (i % 3 === 0) await usher.call("POST", `/v1/conversations/${r.conversation.id}/close`, { reason: "resolved" });
  }
  expect(ids.length).toBeGreaterThan(40);
  await signIn(page, usher, await usher.account("supervisor"), `/why/${ids[0]}`);
  // In the record: lost and passed are those who were looked at, step by step.
  for (const id of ids) {
    const d = await usher.call<Decision>("GET", `/v1/decisions/${id}`);
    let left = d.funnel[0]?.before ?? 0;
    let lost = 0;
    for (const f of d.funnel) {
      expect(f.before).toBe(left);
      lost += f.before - f.after;
      left = f.after;
    }
    expect(lost + left).toBe(d.funnel[0]?.before ?? 0);
  }
  // On the screen: the sum that is printed is true, and nothing is called wrong.
  for (const id of ids.slice(0, 12)) {
    await page.goto(`${usher.url}/why/${id}`);
    await expect(page.getByRole("heading", { name: "Rules that acted" })).toBeVisible();
    const sum = page.getByTestId("sum");
    if ((await sum.count()) > 0) {
      const [whole, parts] = ((await sum.textContent()) ?? "").split(" = ");
      const numbers = (parts ?? "").split(" + ").map((p) => Number.parseInt(p, 10));
      expect(numbers.reduce((a, b) => a + b, 0), await sum.textContent() ?? "").toBe(Number(whole));
    }
    await expect(page.getByText("This record does not add up")).toHaveCount(0);
    await expect(page.getByText("terms do not add up")).toHaveCount(0);
  }
});

test("a decision without a record is an error, and no empty page", async ({ page, usher }) => {
  await signIn(page, usher, await usher.account("supervisor"), "/why/decision_that_is_not");
  await expect(page.getByRole("alert")).toContainText("There is no record of this decision");
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("There is no record of this decision");
});

test("one who waits is told why, in the same view", async ({ page, usher }) => {
  const m = await usher.message("hello, my parcel is late");
  await signIn(page, usher, await usher.account("supervisor"), "/live");
  await page.getByRole("region", { name: "Who waits" }).getByRole("button", { name: "Why?" }).click();
  const drawer = page.getByRole("dialog", { name: "Why this agent" });
  await expect(drawer.getByText("Still waiting because nobody is online")).toBeVisible();
  await page.keyboard.press("Escape");
  await expect(drawer).toBeHidden();
  await page.goto(`${usher.url}/why/${m.routing.decision_id}`);
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("Still waiting because nobody is online");
});

test("candidates are a table for whoever does not see bars, exact to the last digit", async ({ page, usher }) => {
  const languages = [{ tag: "en", level: 5 }];
  await usher.agent("wang-fang", { languages });
  await usher.agent("zhang-wei", { languages, capacity: { units: 8, interruptible_units: 1, per_channel: {} } });
  const m = await usher.message("where is my refund");
  const d = await usher.call<{ candidates: { agent_id: string; score: number; rejected?: string }[] }>("GET", `/v1/decisions/${m.routing.decision_id}`);
  await signIn(page, usher, await usher.account("supervisor"), `/why/${m.routing.decision_id}`);
  await page.getByRole("button", { name: "Show as table" }).click();
  for (const c of d.candidates.filter((x) => !x.rejected)) {
    const row = page.getByRole("row", { name: new RegExp(c.agent_id) });
    await expect(row.getByRole("cell").last()).toHaveText((c.score * 100).toFixed(4).replace("-", "−"));
  }
});
