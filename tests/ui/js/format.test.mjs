import assert from "node:assert/strict";
import test from "node:test";
import { NONE, date, minute, time, utc } from "../../../ui/web/lib/format.js";

test("a time however it came", () => {
  const at = new Date(Date.UTC(2026, 8, 3, 14, 3, 12));
  for (const value of [at, at.getTime(), "2026-09-03 14:03:12", "2026-09-03T14:03:12Z", "2026-09-03T16:03:12+02:00"]) {
    assert.equal(date(value).getTime(), at.getTime());
    assert.equal(utc(value), "2026-09-03 14:03:12.000 UTC");
  }
});

test("a time with and without seconds", () => {
  const at = new Date(2020, 8, 3, 14, 3, 12);
  assert.match(time(at), /:03:12/);
  assert.doesNotMatch(minute(at), /:12/);
  assert.match(minute(at), /2020/);
});

test("what is no time", () => {
  for (const value of [null, undefined, "", "soon", new Date("soon")]) assert.equal(time(value), NONE);
});
