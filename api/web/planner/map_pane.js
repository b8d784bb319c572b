// The map: vans as they move, fences, and of what is chosen the way it came and the stops it has left.
// It draws what the desk says, and says what is clicked; whoever cannot see it finds all of it in the tables.

import { define, html, nothing } from "../base/lit.js";
import { duration, kmh } from "../base/format.js";
import { language, t } from "../base/i18n.js";
import { word } from "../base/status.js";
import { BELOW_NAMES, MapUnavailable, createMap } from "../base/map.js";
import { Pane } from "./desk.js";
import { featuresOf, moved } from "./draft.js";
import { troubleOf } from "./gantt_scale.js";
import { FENCES_FROM, SOURCES, coloursOf, layers, source } from "./map_layers.js";
import { PIXEL_RATIO, signs } from "./map_signs.js";
import { VanFeatures, pointOf, troubles } from "./map_vans.js";
import { at } from "./way.js";

const EVERY_MS = 1_000;
const NEAR_ZOOM = 11;
const VAN_ZOOM = 8;
const HIT_PX = 6;
const CLICKED = ["vans", "stops", "fence-edges", "fence-areas", "fence-dots"];

export class MapPane extends Pane {
  static properties = { shown: { type: Boolean }, hovered: { state: true }, following: { state: true } };
  #vans = new VanFeatures();
  #drawnAt = -Infinity;
  #seen = {};

  constructor() {
    super();
    this.map = null;
    this.lost = false;
    this.following = false;
  }

  render() {
    return html`
      <div class="map-canvas"></div>
      ${this.map ? html`<div class="map-tools">
        <button class="button small" aria-pressed=${String(this.following)} ?disabled=${!this.desk.subject.van} @click=${this.#follow}>${t("Follow")}</button>
        <button class="button small" @click=${this.#all}>${t("All vans")}</button></div>` : nothing}
      <p class="hovered card" ?hidden=${!this.hovered}>${this.hovered}</p>`;
  }

  updated() {
    if (this.shown && !this.map && !this.making) this.#make();
    if (this.shown && this.#canDraw) this.#draw();
  }

  async #make() {
    this.making = true;
    try {
      const map = await createMap(this.querySelector(".map-canvas"), { t, language, bounds: boundsOf(this.#placed) ?? undefined });
      for (const name of SOURCES) map.addSource(name, source());
      this.#addSigns(map);
      for (const layer of layers(coloursOf(this))) map.addLayer(layer, layer.id.startsWith("fence") ? BELOW_NAMES : undefined);
      map.on("palette", () => this.#canDraw && this.#recolour());
      map.on("moveend", () => this.#canDraw && this.#shapes());
      map.on("webglcontextlost", () => (this.lost = true));
      map.on("webglcontextrestored", () => this.#anew());
      map.on("dragstart", () => (this.following = false));
      for (const down of ["mousedown", "touchstart"]) map.on(down, "draft-points", (event) => this.#grab(event));
      map.on("click", (event) => this.#click(event));
      map.on("mousemove", (event) => this.#hover(event));
      map.on("mouseout", () => (this.hovered = null));
      this.map = map;
      this.desk.fences.addEventListener("changed", () => this.#canDraw && this.#fences());
      this.desk.way.addEventListener("changed", () => this.requestUpdate());
      this.#fences();
      this.requestUpdate();
    } catch (error) {
      const why = error instanceof MapUnavailable ? error.message : t("The map could not be read. Choose it again to try again; all that is on it stands in the lists.");
      this.dispatchEvent(new CustomEvent("unavailable", { detail: why }));
      if (!(error instanceof MapUnavailable)) console.warn(error);
    }
    this.making = false;
  }

  #addSigns(map) {
    for (const [name, image] of signs(this)) {
      if (map.hasImage(name)) map.updateImage(name, image);
      else map.addImage(name, image, { pixelRatio: PIXEL_RATIO });
    }
  }

  #recolour() {
    this.#addSigns(this.map);
    for (const { id, paint } of layers(coloursOf(this))) {
      for (const [property, value] of Object.entries(paint ?? {})) this.map.setPaintProperty(id, property, value);
    }
  }

  // ---- what is drawn ---------------------------------------------------------------------------------

  /** A browser may take a page's graphics away for a while: then there is nothing to draw on. */
  get #canDraw() {
    return this.map !== null && !this.lost;
  }

  /** Draws everything, whatever was drawn before the graphics went; one still looks where one looked. */
  async #anew() {
    if (!this.map.getSource("vans")) await this.map.once("style.load");
    const { fitted, chosen, drawing } = this.#seen;
    this.#seen = { fitted, chosen, drawing };
    this.#vans = new VanFeatures();
    this.lost = false;
    this.#put("vans", []);
    this.#recolour();
    this.#fences();
  }

  #draw() {
    this.#drawVans();
    this.#drawChosen();
    this.#drawTour();
    this.#drawWay();
    this.#drawDraft();
  }

  /** Gives the map the difference, once a second at most. */
  #drawVans() {
    const wait = this.#drawnAt + EVERY_MS - performance.now();
    if (wait > 0) {
      this.later ??= setTimeout(() => {
        this.later = null;
        this.requestUpdate();
      }, wait);
      return;
    }
    const difference = this.#vans.difference(this.desk.shown.vans, troubles(this.desk.rows("alerts") ?? []));
    if (!difference) return;
    this.#drawnAt = performance.now();
    this.map.getSource("vans").updateData(difference);
    if (!this.#seen.fitted) this.#fitOnce();
  }

  #drawChosen() {
    const { van: code, site } = this.desk.subject;
    const van = code ? this.desk.van(code) : null;
    const place = van?.last_fix ? pointOf(van) : null;
    this.#put("chosen", place ? [point(place, {})] : [], place?.join());
    if (this.#differs("site", site)) this.#shapes();
    const chosen = `${this.desk.chosen?.kind} ${this.desk.chosen?.id}`;
    const stop = this.desk.chosen?.kind === "stop" || this.desk.chosen?.kind === "site";
    const fence = site ? this.desk.fences.of(site) : null;
    const target = stop && fence ? [fence.lon, fence.lat] : place;
    if (target && this.#differs("chosen", chosen)) this.#show(target, stop ? NEAR_ZOOM : VAN_ZOOM);
    else if (this.following && place) this.map.easeTo({ center: place });
  }

  /** Goes to a place if it cannot be seen, or only from too far away. */
  #show(place, zoom) {
    if (this.map.getBounds().contains(place) && this.map.getZoom() >= zoom) return;
    this.map.easeTo({ center: place, zoom: Math.max(this.map.getZoom(), zoom) });
  }

  /** The planned way through the stops, and what is looked at instead of it. */
  #drawTour() {
    const { van, stop: chosen } = this.desk.subject;
    const tour = van ? this.desk.day.tour(van) : null;
    const { preview } = this.desk;
    if (!this.#differs("tour", `${van} ${this.desk.day.readAt} ${chosen} ${this.desk.fences.all?.length}`) && this.#seen.preview === preview) return;
    this.#seen.preview = preview;
    const placed = (tour?.stops ?? []).map((stop) => [stop, this.desk.fences.of(stop.site)]).filter(([, fence]) => fence);
    const features = placed.map(([stop, fence]) => point([fence.lon, fence.lat], {
      id: stop.stop_id, stop: String(stop.stop), state: troubleOf(stop) ?? stop.state, chosen: stop.stop_id === chosen,
    }));
    this.#put("stops", features);
    this.#put("tour", placed.length > 1 ? [line(placed.map(([, { lon, lat }]) => [lon, lat]))] : []);
    const proposed = preview ? this.#proposed(preview.proposal) : [];
    this.#put("proposed", proposed);
    if (proposed.length) this.#fit(proposed[0].geometry.coordinates);
  }

  #proposed({ van: code, order }) {
    const van = this.desk.van(code);
    const places = order.map((stop) => this.desk.fences.of(stop.site)).filter(Boolean).map(({ lon, lat }) => [lon, lat]);
    if (van?.last_fix) places.unshift(pointOf(van));
    return places.length > 1 ? [line(places)] : [];
  }

  #drawWay() {
    const { way, playback } = this.desk;
    const now = playback ? at(way, playback.at_ms) : null;
    this.#put("again", now ? [point(now.place, { turn: now.turn })] : [], `${way.van} ${playback?.at_ms}`);
    if (now && playback.playing && !this.map.getBounds().contains(now.place)) this.map.easeTo({ center: now.place });
    this.#put("track", way.places.length > 1 ? [line(now ? [...way.places.slice(0, now.nth + 1), now.place] : way.places)] : [], `${way.van} ${way.places.length} ${now?.nth} ${playback?.at_ms}`);
  }

  /** The fence that is being drawn, with the points to take hold of. */
  #drawDraft() {
    const { draft } = this.desk;
    if (!this.#differs("draft", draft)) return;
    this.#put("draft", draft ? featuresOf(draft) : []);
    if (draft && !this.#seen.drawing) this.#show(draft.corners?.[0] ?? draft.centre, 14);
    this.#seen.drawing = draft !== null;
  }

  #fences() {
    this.#put("fences", this.desk.fences.dots());
    this.#shapes();
    this.requestUpdate();
  }

  #shapes() {
    const near = this.map.getZoom() >= FENCES_FROM;
    const { _sw: sw, _ne: ne } = this.map.getBounds();
    const within = { west: sw.lng, south: sw.lat, east: ne.lng, north: ne.lat };
    this.#put("shapes", near ? this.desk.fences.shapes(within, this.desk.subject.site) : []);
  }

  /** Whether something is not what it was when it was asked last. */
  #differs(name, value) {
    if (this.#seen[name] === value) return false;
    this.#seen[name] = value;
    return true;
  }

  /** Gives a source its features; with a `sign`, only if that is another one. */
  #put(name, features, sign) {
    if (sign !== undefined && !this.#differs(`source ${name}`, sign)) return;
    this.map.getSource(name).setData({ type: "FeatureCollection", features });
  }

  // ---- where one looks -------------------------------------------------------------------------------

  #fit(places) {
    const bounds = boundsOf(places);
    if (bounds) this.map.fitBounds(bounds, { padding: 60, maxZoom: NEAR_ZOOM });
  }

  #fitOnce() {
    this.#seen.fitted = true;
    if (!this.desk.chosen) this.#all();
  }

  get #placed() {
    return this.desk.shown.vans.filter((van) => van.last_fix).map(pointOf);
  }

  #all = () => this.#fit(this.#placed);

  #follow = () => {
    this.following = !this.following;
    const van = this.desk.van(this.desk.subject.van);
    if (this.following && van?.last_fix) this.map.easeTo({ center: pointOf(van), zoom: Math.max(this.map.getZoom(), NEAR_ZOOM) });
  };

  // ---- what is pointed at ------------------------------------------------------------------------------

  #under({ point: { x, y } }) {
    const box = [[x - HIT_PX, y - HIT_PX], [x + HIT_PX, y + HIT_PX]];
    const found = this.map.queryRenderedFeatures(box, { layers: CLICKED });
    return CLICKED.map((layer) => found.find((feature) => feature.layer.id === layer)).find(Boolean) ?? null;
  }

  /** Drags a point of the fence that is being drawn. */
  #grab(event) {
    if (event.points?.length > 1) return;
    event.preventDefault();
    const { map } = this;
    let { name } = event.features[0].properties;
    const [move, end] = event.type === "touchstart" ? ["touchmove", "touchend"] : ["mousemove", "mouseup"];
    const drag = ({ lngLat }) => {
      const next = moved(this.desk.draft, name, [lngLat.lng, lngLat.lat]);
      name = next.name;
      this.desk.draft = next.draft;
      this.desk.changed();
    };
    map.on(move, drag);
    map.once(end, () => map.off(move, drag));
  }

  #click(event) {
    if (this.desk.draft) return;
    const feature = this.#under(event);
    if (!feature) return;
    if (feature.source === "vans") this.#choose("van", this.#vans.codeOf(feature.id));
    else if (feature.source === "stops") this.#choose("stop", feature.properties.id);
    else this.#choose("site", this.desk.fences.byId(feature.id).code);
  }

  /** What is chosen on the map is seen there already: the map stays where it is. */
  #choose(kind, id) {
    this.#seen.chosen = `${kind} ${id}`;
    this.desk.choose(kind, id);
  }

  #hover(event) {
    const feature = this.#under(event);
    this.map.getCanvas().style.cursor = feature ? "pointer" : "";
    const said = feature ? this.#saidOf(feature) : null;
    if (said !== this.hovered) this.hovered = said;
    if (!said) return;
    const { x, y } = event.point;
    const label = this.querySelector(".hovered").style;
    label.translate = `${Math.min(x + 14, this.clientWidth - 240)}px ${Math.min(y + 14, this.clientHeight - 40)}px`;
  }

  /** The name of a site; while that is asked for, its code. */
  #fenceSaid(fence) {
    if (!fence) return null;
    return this.desk.fences.nameOf(fence.code, (name) => this.hovered === fence.code && (this.hovered = name));
  }

  #saidOf({ source: name, id, properties }) {
    if (name === "stops") return this.desk.day.stop(properties.id)?.stop.site_name ?? null;
    if (name !== "vans") return this.#fenceSaid(this.desk.fences.byId(id));
    const van = this.desk.van(this.#vans.codeOf(id));
    if (!van) return null;
    const speed = van.state === "driving" && van.last_fix.speed_mps !== null ? t("{n} km/h", { n: kmh(van.last_fix.speed_mps) }) : null;
    const age = van.state === "silent" ? t("{age} ago", { age: duration((this.desk.now() - van.last_fix.t_ms) / 1_000) }) : null;
    return [van.code, van.technician, word(van.state), speed, age, van.site?.name].filter(Boolean).join(" · ");
  }
}
define("cordee-map", MapPane);

/** South-west and north-east of places; null of none. */
function boundsOf(places) {
  if (!places.length) return null;
  const [lons, lats] = [0, 1].map((nth) => places.map((place) => place[nth]));
  return [[Math.min(...lons), Math.min(...lats)], [Math.max(...lons), Math.max(...lats)]];
}

const point = (coordinates, properties) => ({ type: "Feature", properties, geometry: { type: "Point", coordinates } });
const line = (coordinates) => ({ type: "Feature", properties: {}, geometry: { type: "LineString", coordinates } });
