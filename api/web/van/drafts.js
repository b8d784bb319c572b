// What is being written and is not sent: kept over a reload, a new version of the page, an empty battery.

const keyOf = (name) => `cordee.van.draft ${name}`;

export const draft = (name) => JSON.parse(localStorage.getItem(keyOf(name)) ?? "null");

export const keepDraft = (name, value) => localStorage.setItem(keyOf(name), JSON.stringify(value));

export const dropDraft = (name) => localStorage.removeItem(keyOf(name));
