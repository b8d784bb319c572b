// The way to a stop, by whatever the technician navigates with. These are links that a person follows: the
// page itself asks none of these addresses for anything. Pure.

import { t } from "../base/i18n.js";

export const MAPS = {
  geo: { title: () => t("The device’s own map app"), href: ({ at, name }) => `geo:${at}?q=${at}(${encodeURIComponent(name)})` },
  osm: { title: () => "OpenStreetMap", href: ({ at }) => `https://www.openstreetmap.org/directions?to=${encodeURIComponent(at)}` },
  google: { title: () => "Google Maps", href: ({ at }) => `https://www.google.com/maps/dir/?api=1&destination=${encodeURIComponent(at)}` },
  apple: { title: () => "Apple Maps", href: ({ at }) => `https://maps.apple.com/?daddr=${encodeURIComponent(at)}` },
  waze: { title: () => "Waze", href: ({ at }) => `https://waze.com/ul?ll=${encodeURIComponent(at)}&navigate=yes` },
};

/** The address that leads to a place with the chosen map; null where nobody knows where it is. */
export function wayTo({ site_name: name, latitude_deg: latitude, longitude_deg: longitude }, map) {
  if (latitude === undefined || latitude === null) return null;
  return (MAPS[map] ?? MAPS.geo).href({ at: `${latitude.toFixed(6)},${longitude.toFixed(6)}`, name });
}
