import { expect, test } from "vitest";
import { formOf, others, secretsToSend, settingsToSend } from "./forms";

test("a secret that was not typed is not sent, so it stays", () => {
  expect(secretsToSend({ token: "", app_secret: "new" }, [])).toEqual({ app_secret: "new" });
  expect(secretsToSend({ token: "" }, ["token"])).toEqual({ token: "" });
  expect(secretsToSend({ token: "typed" }, ["token"])).toEqual({ token: "typed" });
});

test("settings that the form does not know are kept", () => {
  expect(others("wechat", { app_id: "wx1", "menu.help": "x" })).toEqual(["menu.help"]);
  expect(settingsToSend({ app_id: " wx1 ", api_base: "", " ": "x" })).toEqual({ app_id: "wx1" });
});

test("kinds without a platform ask for nothing", () => {
  expect(formOf("web")).toEqual({ settings: [], secrets: [] });
  expect(formOf("wechat").secrets.map((f) => f.name)).toEqual(["token", "encoding_aes_key", "app_secret"]);
});
