// A style for the tiles that Protomaps makes of OpenStreetMap.
export { layers, namedFlavor } from "@protomaps/basemaps";
