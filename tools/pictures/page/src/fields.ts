/**
 * Applies a panel's JSON to its frames: transformations, then units, colours, thresholds and overrides.
 *
 * It has no list of options: it registers every option that the JSON names, as Grafana's own panels register theirs.
 */
import {
  applyFieldOverrides,
  cacheFieldDisplayNames,
  type DataFrame,
  type DynamicConfigValue,
  FieldConfigOptionsRegistry,
  type FieldConfigPropertyItem,
  type FieldConfigSource,
  type GrafanaTheme2,
  standardTransformers,
  standardTransformersRegistry,
  transformDataFrame,
} from "@grafana/data";
import { firstValueFrom } from "rxjs";

import type { Panel } from "./board";

standardTransformersRegistry.setInit(() =>
  [standardTransformers.mergeTransformer, standardTransformers.organizeFieldsTransformer].map((transformation) => ({
    id: transformation.id,
    name: transformation.name,
    transformation: () => Promise.resolve(transformation),
    editor: () => null,
    imageDark: "",
    imageLight: "",
  })),
);

export async function configured(frames: DataFrame[], panel: Panel, theme: GrafanaTheme2): Promise<DataFrame[]> {
  const context = { interpolate: (text: string) => text };
  const data = await firstValueFrom(transformDataFrame(panel.transformations ?? [], frames, context));
  const fields = applyFieldOverrides({
    data,
    fieldConfig: panel.fieldConfig,
    fieldConfigRegistry: registryOf(panel.fieldConfig),
    replaceVariables: (text) => text,
    theme,
    timeZone: "utc",
  });
  cacheFieldDisplayNames(fields);
  return fields;
}

/** Every option that a field configuration names, unchanged. */
function registryOf({ defaults, overrides }: FieldConfigSource): FieldConfigOptionsRegistry {
  const custom = Object.keys(defaults.custom ?? {}).map((name) => `custom.${name}`);
  const overridden = overrides.flatMap((rule) => rule.properties.map((property: DynamicConfigValue) => property.id));
  const ids = new Set([...Object.keys(defaults).filter((name) => name !== "custom"), ...custom, ...overridden]);
  return new FieldConfigOptionsRegistry(() => [...ids].map(option));
}

function option(id: string): FieldConfigPropertyItem {
  return {
    id,
    path: id.replace(/^custom\./, ""),
    name: id,
    isCustom: id.startsWith("custom."),
    editor: () => null,
    override: () => null,
    process: (value) => value,
    shouldApply: () => true,
  };
}
