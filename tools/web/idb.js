// IndexedDB with promises.
export { deleteDB, openDB } from "idb";
