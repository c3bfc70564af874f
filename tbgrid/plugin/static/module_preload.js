// The modules of the app, fetched all at once. Otherwise the browser learns of a module only from
// one that imports it, and each step takes a round trip to the server.

/** All that app.js needs, beyond what index.js has loaded; a test keeps the list complete. */
export const MODULES = [
  "animator app buffers clipboard colouring colours columns data dom filter filter_panel geometry",
  "gl_helpers help keyboard lasso legend link_values lru_slots map_arrays map_keys map_pointer",
  "map_view masks messages overlay photo_controller photo_list photo_panel photo_state",
  "picture_fetcher plain_renderer preview_textures query renderer report_panel row_mapping",
  "run_changes run_controller run_pane selection_panel shaders spacing stage table_formats tabs",
  "texts theme thumbnail tile_textures toolbar tooltip viewport visible_photos",
].flatMap((names) => names.split(" ").map((name) => `${name}.js`));

/** @param {URL} base of the modules */
export function preloadModules(base) {
  for (const name of MODULES) {
    const link = document.createElement("link");
    link.rel = "modulepreload";
    link.href = new URL(name, base).href;
    document.head.append(link);
  }
}
