// Tiles out of one file that is asked for in ranges.
export { PMTiles, Protocol } from "pmtiles";
