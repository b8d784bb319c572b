// Reads bar codes from pictures, in a worker, so that the page never waits for it.
//
// Gets { picture: ImageData }; answers { found: [{ text, aim }] }. `Plain` is what is in the code:
// the reader's own default would write GS1 codes with brackets, as they are printed under them.

import { readBarcodes } from "../vendor/zxing.js";

const OPTIONS = {
  formats: ["EAN13", "EAN8", "UPCA", "UPCE", "Code128", "Code39", "ITF", "DataMatrix", "QRCode", "DataBar", "DataBarExp", "Aztec", "PDF417"],
  textMode: "Plain",
  tryHarder: true,
  tryRotate: true,
  maxNumberOfSymbols: 4,
};

addEventListener("message", async ({ data: { picture } }) => {
  const read = await readBarcodes(picture, OPTIONS);
  const found = read.filter((code) => code.isValid && code.text).map(({ text, symbologyIdentifier }) => ({ text, aim: symbologyIdentifier || null }));
  postMessage({ found });
});
