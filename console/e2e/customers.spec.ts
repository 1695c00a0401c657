import AxeBuilder from "@axe-core/playwright";
import type { Page } from "@playwright/test";
import { expect, signIn, test, type Received, type Usher } from "./usher";

const both = { languages: [{ tag: "zh", level: 5 }, { tag: "en", level: 5 }] };

interface Load {
  offers: { conversation_id: string }[];
}

/** holder is whom a conversation is offered to. */
async function holder(usher: Usher, agents: readonly string[], r: Received): Promise<string> {
  for (const id of agents) {
    const load = await usher.call<Load>("GET", `/v1/agents/${id}/load`);
    if (load.offers.some((o) => o.conversation_id === r.conversation.id)) return id;
  }
  return "";
}

/** day is a date so many days from now, as a date box takes it. */
const day = (n: number): string => new Date(Date.now() + n * 86_400_000).toISOString().slice(0, 10);

const rows = (page: Page, table: string) => page.getByRole("region", { name: table }).locator("tbody tr");

test("a manager makes a customer VIP, picks the dedicated agent, and the next App message reaches him", async ({ page, usher }) => {
  const agents = ["wang-fang", "li-lei", "zhang-wei"];
  for (const id of agents) await usher.agent(id, both);
  // The dedicated agent is the one with the least room: by himself he would get neither message.
  const chosen = "zhang-wei";
  for (const id of ["x", "y"]) {
    const m = await usher.message("hello", { channel: "app", customer: { id } });
    await usher.call("POST", `/v1/conversations/${m.conversation.id}/assign`, { agent_id: chosen });
  }
  const usual = async (id: string) => holder(usher, agents, await usher.message("where is my parcel", { channel: "app", customer: { id } }));
  expect(["wang-fang", "li-lei"]).toContain(await usual("before"));
  await usher.call("PUT", "/v1/customers/boss", { name: "Chen Boss", identities: [{ kind: "phone", value: "+8613800138000" }], attributes: { orders_12m: 3 } });

  await signIn(page, usher, await usher.account("manager"), "/customers");
  await page.getByRole("searchbox", { name: "Phone, e-mail, id or name" }).fill("138 0013 8000");
  await page.getByRole("button", { name: "Search", exact: true }).click();
  await rows(page, "Customers").getByRole("link", { name: "Chen Boss" }).click();
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("Chen Boss: Regular");

  await page.getByRole("button", { name: "Change the tier" }).click();
  const dialog = page.getByRole("dialog", { name: "A tier for Chen Boss" });
  await dialog.getByRole("button", { name: "Save" }).click();
  await expect(dialog.getByText("A reason is needed")).toBeVisible();
  await expect(dialog.getByText("A last day is needed, from today on")).toBeVisible();
  await dialog.getByLabel("Tier").selectOption("vip");
  await dialog.getByLabel("Reason").fill("opens our new shop");
  await dialog.getByLabel("Last day").fill(day(90));
  await dialog.getByRole("button", { name: "Save" }).click();
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("Chen Boss: VIP");

  await page.getByRole("combobox", { name: "Dedicated agent" }).selectOption(chosen);
  await page.getByRole("button", { name: "Save" }).click();
  await expect(page.getByText("Saved", { exact: true })).toBeVisible();
  const customer = await usher.call<{ tier: string; tier_source: string; tier_reason: string; attributes: Record<string, unknown> }>("GET", "/v1/customers/boss");
  expect(customer).toMatchObject({ tier: "vip", tier_source: "manual", tier_reason: "opens our new shop", attributes: { dedicated_agent: chosen, orders_12m: 3 } });

  const r = await usher.message("where is my parcel", { channel: "app", customer: { id: "boss" } });
  expect(await holder(usher, agents, r)).toBe(chosen);
  expect(["wang-fang", "li-lei"]).toContain(await usual("after"));

  // He stands on the list, with the reason, and can be taken off it.
  await page.goto(usher.url + "/customers?view=lists&tier=vip");
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("1 on the list VIP");
  await expect(rows(page, "VIP")).toContainText("opens our new shop");
  await page.getByRole("button", { name: "Take off Chen Boss" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Take off" }).click();
  await expect(page.getByText("Nobody is on the list VIP now.")).toBeVisible();
  expect(await usher.call("GET", "/v1/customers/boss")).toMatchObject({ tier: "regular", tier_source: "default" });
});

test("many ids go on a list at once; who is not known is told and stays in the form", async ({ page, usher }) => {
  for (const id of ["a", "b"]) await usher.call("PUT", `/v1/customers/${id}`, { name: id });
  await signIn(page, usher, await usher.account("manager"), "/customers?view=lists&tier=blacklist");
  await page.getByRole("button", { name: "Add to the list" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Customers' ids").fill("a, b\nnobody");
  await dialog.getByLabel("Reason").fill("insulted agents");
  await dialog.getByRole("button", { name: "1 month" }).click();
  await dialog.getByRole("button", { name: "Save" }).click();
  await expect(dialog.getByRole("alert")).toContainText("2 entered · 1 not entered");
  await expect(dialog.getByLabel("Customers' ids")).toHaveValue("nobody");
  await dialog.getByRole("button", { name: "Close", exact: true }).last().click();
  await expect(rows(page, "Blacklist")).toHaveCount(2);
  const r = await usher.message("hello", { customer: { id: "a" } });
  expect(r.conversation.status).toBe("blocked");
});

test("a CSV with a bad row is checked, told row by row, and the good rows are imported", async ({ page, usher }) => {
  await signIn(page, usher, await usher.account("manager"), "/customers?view=import");
  const csv = "id,name,tier,phone,orders_12m\nC-1,王小明,vip,+8613800138000,4\nC-2,Ann,gold,,many\nC-3,Bea,regular,,1\n";
  await page.getByLabel("File (CSV or JSON lines)").setInputFiles({ name: "crm.csv", mimeType: "text/csv", buffer: Buffer.from(csv) });
  await expect(page.getByRole("button", { name: "Import", exact: true })).toBeDisabled(); // it is checked first
  await page.getByRole("button", { name: "Check first" }).click();
  await expect(page.getByText("2 new, 0 changed, 0 unchanged, 1 wrong")).toBeVisible();
  await expect(page.getByText("Nothing is stored yet.")).toBeVisible();
  const bad = rows(page, "Result").first(); // faults come first
  await expect(bad).toContainText("C-2");
  await expect(bad).toContainText("tier");
  await expect(bad).toContainText("orders_12m");
  await expect(usher.call("GET", "/v1/customers/C-1")).rejects.toThrow(/404/);
  await page.getByRole("button", { name: "Import", exact: true }).click();
  await expect(page.getByText("Stored.")).toBeVisible();
  expect(await usher.call("GET", "/v1/customers/C-1")).toMatchObject({ name: "王小明", tier: "vip", tier_source: "crm" });
  expect(await usher.call("GET", "/v1/customers/C-3")).toMatchObject({ name: "Bea" });
  await expect(usher.call("GET", "/v1/customers/C-2")).rejects.toThrow(/404/);
});

test("a spreadsheet in GB18030 keeps its names", async ({ page, usher }) => {
  await signIn(page, usher, await usher.account("manager"), "/customers?view=import");
  const bytes = Buffer.concat([Buffer.from("id,name\nC-9,"), Buffer.from([0xcd, 0xf5, 0xb7, 0xbc]), Buffer.from("\n")]);
  await page.getByLabel("File (CSV or JSON lines)").setInputFiles({ name: "crm.csv", mimeType: "text/csv", buffer: bytes });
  await page.getByRole("button", { name: "Check first" }).click();
  await expect(page.getByText("it was read as GB18030")).toBeVisible();
  await page.getByRole("button", { name: "Import", exact: true }).click();
  await expect(page.getByText("Stored.")).toBeVisible();
  expect(await usher.call("GET", "/v1/customers/C-9")).toMatchObject({ name: "王芳" });
});

test("a link is undone with a reason, and both are what they were", async ({ page, usher }) => {
  await usher.call("PUT", "/v1/customers/ann", { name: "Ann Lee" });
  await usher.call("PUT", "/v1/customers/bob", { name: "Bob Lee" });
  await usher.call("POST", "/v1/customers/ann/merge", { customer_id: "bob", reason: "said so on the phone" });
  await usher.message("from bob <b>bold</b>", { channel: "app", customer: { id: "bob" } });
  await signIn(page, usher, await usher.account("manager"), "/customers/ann");
  // One timeline for the person; what was written stays text.
  await expect(page.getByText("from bob <b>bold</b>")).toBeVisible();
  const link = page.locator("li", { hasText: "said so on the phone" });
  await link.getByRole("button", { name: "Undo Bob Lee" }).click();
  const dialog = page.getByRole("dialog", { name: "Undo the link with Bob Lee" });
  await dialog.getByRole("button", { name: "Undo" }).click();
  await expect(dialog.getByText("A reason is needed")).toBeVisible();
  await dialog.getByLabel("Reason").fill("a brother with the same phone");
  await dialog.getByRole("button", { name: "Undo" }).click();
  await expect(dialog).toBeHidden();
  await expect(link).toContainText("a brother with the same phone");
  await expect(page.getByText("from bob <b>bold</b>")).toHaveCount(0);
  const links = await usher.call<{ data: { undone_at?: string; why?: string }[] }>("GET", "/v1/customers/ann/links");
  expect(links.data).toHaveLength(1);
  expect(links.data[0]).toMatchObject({ why: "a brother with the same phone" });
  expect(links.data[0]!.undone_at).toBeTruthy();
  expect(await usher.call("GET", "/v1/customers/ann")).not.toHaveProperty("linked");
});

test("a claimed number is a question, and a person answers it", async ({ page, usher }) => {
  await usher.call("PUT", "/v1/customers/known", { name: "Ann Lee", identities: [{ kind: "phone", value: "+8613800138000", verified: true }] });
  await usher.call("PUT", "/v1/customers/claims", { name: "Ann Lee", identities: [{ kind: "phone", value: "+8613800138000" }] });
  await signIn(page, usher, await usher.account("manager"), "/customers/claims");
  await expect(page.getByText("only claimed")).toBeVisible();
  await expect(page.getByRole("heading", { name: "Perhaps the same person" })).toBeVisible();
  await page.getByRole("button", { name: "Accept Ann Lee" }).click();
  await expect(page.getByRole("heading", { name: "Perhaps the same person" })).toBeHidden();
  expect(await usher.call("GET", "/v1/customers/claims")).toMatchObject({ linked: ["known"] });
});

test("a dedicated agent that somebody else changed meanwhile is not overwritten", async ({ page, usher }) => {
  for (const id of ["wang-fang", "li-lei"]) await usher.agent(id, both);
  await usher.call("PUT", "/v1/customers/boss", { name: "Boss" });
  await signIn(page, usher, await usher.account("manager"), "/customers/boss");
  const picker = page.getByRole("combobox", { name: "Dedicated agent" });
  await picker.selectOption("wang-fang");
  await usher.call("PATCH", "/v1/customers/boss", { attributes: { dedicated_agent: "li-lei" } });
  await page.getByRole("button", { name: "Save" }).click();
  await expect(page.getByText("Somebody else changed this customer meanwhile.")).toBeVisible();
  await expect(picker).toHaveValue("li-lei");
  expect(await usher.call("GET", "/v1/customers/boss")).toMatchObject({ attributes: { dedicated_agent: "li-lei" } });
});

test("a manager adds an agent with a skill, and he is offered the work that needs it", async ({ page, usher }) => {
  await usher.publish({
    skills: [{ name: "Refunds", aliases: [], intents: ["return_refund"] }],
    rules: [{ id: "refunds", name: "Refunds", when: { field: "message.text", op: "contains_any", value: ["refund"] }, then: { require: [{ name: "Refunds", level: 4 }] } }],
  });
  await usher.agent("li-lei", both);
  const waits = await usher.message("I want a refund");
  expect(await holder(usher, ["li-lei"], waits)).toBe("");

  await signIn(page, usher, await usher.account("manager"), "/team");
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("1 agent, 1 online");
  await page.keyboard.press("n");
  const panel = page.getByRole("dialog", { name: "New agent" });
  await panel.getByLabel("Id", { exact: true }).fill("li-lei");
  await panel.getByRole("button", { name: "Save" }).click();
  await expect(panel.getByText("An agent with this id exists already.")).toBeVisible();
  await panel.getByLabel("Id", { exact: true }).fill("wang-fang");
  await panel.getByLabel("Name").fill("王芳");
  await panel.getByRole("combobox", { name: "Skills" }).fill("Refunds");
  await page.keyboard.press("Enter");
  await panel.getByRole("combobox", { name: "Level of Refunds" }).selectOption("5");
  await expect(panel.getByText("Return, exchange or refund")).toBeVisible(); // what the skill serves
  for (const tag of ["zh", "en"]) {
    await panel.getByRole("combobox", { name: "Languages" }).fill(tag);
    await page.keyboard.press("Enter");
  }
  await panel.getByRole("button", { name: "Save" }).click();
  await expect(rows(page, "Agents")).toHaveCount(2);
  await expect(rows(page, "Agents").filter({ hasText: "王芳" })).toContainText("Refunds 5");

  await usher.call("PUT", "/v1/agents/wang-fang/presence", { presence: "online" });
  await expect.poll(() => holder(usher, ["li-lei", "wang-fang"], waits)).toBe("wang-fang");
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("2 agents, 2 online"); // without reload
});

test("who holds work is not removed, and is told why; who holds none is", async ({ page, usher }) => {
  await usher.agent("wang-fang", both);
  await usher.agent("li-lei", { capacity: { units: 0, interruptible_units: 0, per_channel: {} } });
  const m = await usher.message("help");
  await usher.call("POST", `/v1/conversations/${m.conversation.id}/assign`, { agent_id: "wang-fang" });
  await signIn(page, usher, await usher.account("manager"), "/team");
  await page.getByRole("button", { name: "Edit wang-fang" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Remove", exact: true }).click();
  const sure = page.getByRole("dialog", { name: "Remove wang-fang?" });
  await expect(sure.getByRole("alert")).toContainText("1 conversation is still held");
  await expect(sure.getByRole("button", { name: "Remove", exact: true })).toHaveCount(0);
  await sure.getByRole("button", { name: "Cancel" }).click();
  await page.getByRole("dialog", { name: "wang-fang" }).getByRole("button", { name: "Cancel" }).click();
  await page.getByRole("button", { name: "Edit li-lei" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Remove", exact: true }).click();
  await page.getByRole("dialog", { name: "Remove li-lei?" }).getByRole("button", { name: "Remove", exact: true }).click();
  await expect(rows(page, "Agents")).toHaveCount(1);
  await expect(usher.call("GET", "/v1/agents/li-lei")).rejects.toThrow(/404/);
});

test("an agent that somebody else changed meanwhile is not overwritten, and what was typed stays", async ({ page, usher }) => {
  await usher.agent("wang-fang", both);
  await signIn(page, usher, await usher.account("manager"), "/team");
  await page.getByRole("button", { name: "Edit wang-fang" }).click();
  const panel = page.getByRole("dialog", { name: "wang-fang" });
  await panel.getByLabel("What this agent is good at, in words").fill("invoices of companies");
  await usher.call("PATCH", "/v1/agents/wang-fang", { profile: "returns" });
  await panel.getByRole("button", { name: "Save" }).click();
  await expect(panel.getByText("Somebody else changed this agent meanwhile.")).toBeVisible();
  await expect(panel.getByLabel("What this agent is good at, in words")).toHaveValue("invoices of companies");
  expect(await usher.call("GET", "/v1/agents/wang-fang")).toMatchObject({ profile: "returns" });
});

test("agents are imported from a file with a report", async ({ page, usher }) => {
  await signIn(page, usher, await usher.account("manager"), "/team?view=import");
  const csv = "id,name,skills,languages,units\nwang-fang,王芳,refunds:5;billing:3,zh:5;en:3,4\nli-lei,李雷,refunds:9,zh:5,2\n";
  await page.getByLabel("File (CSV or JSON lines)").setInputFiles({ name: "team.csv", mimeType: "text/csv", buffer: Buffer.from(csv) });
  await page.getByRole("button", { name: "Import", exact: true }).click();
  await expect(page.getByText("1 new, 0 changed, 0 unchanged, 1 wrong")).toBeVisible();
  await expect(rows(page, "Result").first()).toContainText("li-lei");
  await page.getByRole("link", { name: "Agents" }).click();
  await expect(rows(page, "Agents")).toHaveCount(1);
  await expect(rows(page, "Agents")).toContainText("refunds 5");
  const [file] = await Promise.all([
    page.waitForEvent("download"),
    page.goto(usher.url + "/team?view=import").then(() => page.getByRole("button", { name: "Download a template" }).click()),
  ]);
  expect(file.suggestedFilename()).toBe("agents.csv");
});

test("a proposal of the value model is accepted as an entry with a reason", async ({ page, usher }) => {
  const customer = await usher.call<object>("PUT", "/v1/customers/rich", { name: "Ann Rich", attributes: { currency: "CNY" } });
  await signIn(page, usher, await usher.account("manager"), "/customers?view=proposals");
  await expect(page.getByText("The value model proposes nobody.")).toBeVisible();
  // What a value model would propose: the binary under test may have none.
  const value = { expected_12m: 8200.4, p_active: 0.91, at: new Date().toISOString(), reasons: ["spend_12m:+310.5"], proposed: "vip" };
  await page.route("**/v1/tiers/proposals*", (r) => r.fulfill({ json: { data: [{ ...customer, value }], next_cursor: null } }));
  await page.reload();
  await expect(rows(page, "Proposals")).toContainText("8,200 CNY");
  await expect(rows(page, "Proposals")).toContainText("spend in 12 months +311");
  await page.getByRole("button", { name: "Accept Ann Rich" }).click();
  const dialog = page.getByRole("dialog", { name: "A tier for Ann Rich" });
  await expect(dialog.getByLabel("Tier")).toHaveValue("vip");
  await expect(dialog.getByLabel("Reason")).toHaveValue("proposed by the value model: 8,200 CNY expected in 12 months");
  await dialog.getByRole("button", { name: "3 months" }).click();
  await dialog.getByRole("button", { name: "Save" }).click();
  await expect(dialog).toBeHidden();
  expect(await usher.call("GET", "/v1/customers/rich")).toMatchObject({ tier: "vip", tier_source: "manual", tier_reason: "proposed by the value model: 8,200 CNY expected in 12 months" });
});

test("viewers and agents see no button that does nothing for them", async ({ page, usher }) => {
  await usher.agent("wang-fang", both);
  await usher.call("PUT", "/v1/customers/boss", { name: "Boss" });
  await signIn(page, usher, await usher.account("viewer"), "/team");
  await expect(rows(page, "Agents")).toHaveCount(1);
  await expect(page.getByRole("button", { name: /Edit|Add an agent/ })).toHaveCount(0);
  await expect(page.getByRole("link", { name: "Import" })).toHaveCount(0);
  await page.goto(usher.url + "/customers?view=lists&tier=vip");
  await expect(page.getByText("Nobody is on the list VIP now.")).toBeVisible();
  await expect(page.getByRole("button", { name: "Add to the list" })).toHaveCount(0);
  await page.goto(usher.url + "/customers/boss");
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("Boss: Regular");
  await expect(page.getByRole("button", { name: /Change the tier|Undo|Accept/ })).toHaveCount(0);
  await page.context().clearCookies();
  await signIn(page, usher, await usher.account("agent", "wang-fang"), "/customers");
  await expect(page.getByRole("navigation", { name: "Views of the customers" }).getByRole("link")).toHaveText(["Search"]);
  await rows(page, "Customers").getByRole("link", { name: "Boss" }).click();
  await expect(page.getByRole("button", { name: "Change the tier" })).toHaveCount(0);
});

test("a name finds, nobody is said, and the list is walked by keyboard", async ({ page, usher }) => {
  await usher.call("PUT", "/v1/customers/c1", { name: "王小明" });
  await usher.call("PUT", "/v1/customers/c2", { name: "Ann" });
  await signIn(page, usher, await usher.account("supervisor"));
  await page.keyboard.press("g");
  await page.keyboard.press("u");
  await expect(rows(page, "Customers")).toHaveCount(2);
  const box = page.getByRole("searchbox", { name: "Phone, e-mail, id or name" });
  await box.fill("小明");
  await box.press("Enter");
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("1 customer matches");
  await rows(page, "Customers").first().focus();
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(/\/customers\/c1$/);
  await page.goto(usher.url + "/customers?q=nobody-like-that");
  await expect(page.getByText("Nobody is found by “nobody-like-that”.")).toBeVisible();
  await page.goto(usher.url + "/customers/nobody-like-that");
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("There is no such customer");
});

test("axe finds nothing on customers and team, light and dark, in both languages", async ({ page, usher }) => {
  test.setTimeout(180_000);
  await usher.agent("wang-fang", { ...both, skills: [{ name: "Refunds", level: 5 }] });
  await usher.call("PUT", "/v1/customers/ann", { name: "Ann Lee", identities: [{ kind: "phone", value: "+8613800138000", verified: true }], tags: ["press"], attributes: { spend_12m: 900 } });
  await usher.call("PUT", "/v1/customers/bob", { name: "Ann Lee", identities: [{ kind: "phone", value: "+8613800138000" }] });
  await usher.call("POST", "/v1/tiers/vip/customers", { customers: ["ann"], reason: "launch guest", expires_at: new Date(Date.now() + 3 * 86_400_000).toISOString() });
  await usher.message("hello", { customer: { id: "ann" } });
  await signIn(page, usher, usher.logins["admin"]!);
  const clean = async (where: string) => {
    const r = await new AxeBuilder({ page }).analyze();
    expect(r.violations.map((v) => `${where} ${v.id}: ${v.nodes.map((n) => n.target.join(" ")).join(" | ")}`)).toEqual([]);
  };
  for (const [theme, lang] of [["light", "en"], ["dark", "zh"]] as const) {
    await page.evaluate(([t, l]) => {
      localStorage.setItem("usher.theme", t!);
      localStorage.setItem("usher.language", l!);
    }, [theme, lang]);
    for (const path of ["/customers", "/customers?view=lists&tier=vip", "/customers?view=import", "/customers?view=proposals", "/customers/ann", "/team", "/team?view=skills", "/team?view=import"]) {
      await page.goto(usher.url + path);
      await expect(page.locator("main h1")).toBeVisible();
      await expect(page.locator("[aria-busy=true]")).toHaveCount(0);
      await clean(`${theme} ${lang} ${path}`);
    }
    await page.goto(usher.url + "/team");
    await page.locator("tbody tr").first().getByRole("button").click();
    await page.locator("#agent").waitFor();
    await clean(`${theme} ${lang} an agent`);
    await page.goto(usher.url + "/customers?view=lists");
    await page.locator("main .top button").click();
    await page.locator("#entry").waitFor();
    await clean(`${theme} ${lang} an entry`);
  }
});
