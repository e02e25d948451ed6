/**
 * The parts of a board's JSON that the page reads, under Grafana's names.
 *
 * Fields that only an editor or a running Grafana needs are left out.
 */
import type { DataTransformerConfig, FieldConfigSource } from "@grafana/data";

export interface Target {
  expr: string;
  refId: string;
  legendFormat: string;
  instant: boolean;
  format?: string;
}

export interface Panel {
  id: number;
  type: string;
  title: string;
  description?: string;
  gridPos: { x: number; y: number; w: number; h: number };
  fieldConfig: FieldConfigSource;
  // Of another shape for each type of panel.
  options: any;
  interval?: string;
  targets: Target[];
  transformations?: DataTransformerConfig[];
}

export interface Variable {
  name: string;
  label: string;
  type: string;
  query: unknown;
  definition?: string;
  allValue?: string;
  current?: { text: string; value: string };
}

export interface Annotation {
  name: string;
  expr: string;
  iconColor: string;
  useValueForTime?: boolean;
  filter?: { ids: number[] };
}

export interface Board {
  title: string;
  panels: Panel[];
  templating: { list: Variable[] };
  annotations: { list: Annotation[] };
}
