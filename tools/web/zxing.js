// Barcodes from a camera's picture. Left to itself the reader asks another host for its WebAssembly.
import { prepareZXingModule } from "zxing-wasm/reader";

prepareZXingModule({ overrides: { locateFile: (name) => new URL(name, import.meta.url).href } });

export { ZXING_WASM_SHA256, prepareZXingModule, readBarcodes } from "zxing-wasm/reader";
