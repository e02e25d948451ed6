// What our boards may say: Grafana's own types, with each panel held to the options and fields of its type.
import type { AnnotationQuery, Dashboard, DataSourceRef, FieldConfig, FieldConfigSource, Panel, RowPanel } from "@grafana/schema";
import type * as BarGauge from "@grafana/schema/dist/esm/raw/composable/bargauge/panelcfg/x/BarGaugePanelCfg_types.gen";
import type * as Stat from "@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen";
import type * as Table from "@grafana/schema/dist/esm/raw/composable/table/panelcfg/x/TablePanelCfg_types.gen";
import type * as TimeSeries from "@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen";

// Omit<..., never> and the other Omits also unname a type: the generator refuses two exported ones of one name.
interface PanelOf<Type extends string, Options, Custom>
  extends Omit<Panel, "datasource" | "fieldConfig" | "options" | "type"> {
  datasource: DataSourceRef;
  fieldConfig: Omit<FieldConfigSource, "defaults"> & { defaults: Omit<FieldConfig, "custom"> & { custom?: Custom } };
  options: Omit<Options, never>;
  type: Type;
}

// Fields of their own: bar gauges and stats have none, and what a board leaves out is Grafana's default.
export type BarGaugePanel = PanelOf<"bargauge", BarGauge.Options, {}>;
export type StatPanel = PanelOf<"stat", Stat.Options, {}>;
export type TablePanel = PanelOf<"table", Table.Options, Partial<Table.FieldConfig>>;
export type TimeSeriesPanel = PanelOf<"timeseries", TimeSeries.Options, Partial<TimeSeries.FieldConfig>>;

// Our rows are open: their panels follow them.
export interface Row extends Omit<RowPanel, "datasource" | "panels"> {
  panels: never[];
}

/** @discriminator type */
export type AnyPanel = BarGaugePanel | Row | StatPanel | TablePanel | TimeSeriesPanel;

// What the data source of Prometheus reads of an annotation is its own, and not in @grafana/schema.
export interface Annotation extends Omit<AnnotationQuery, "target"> {
  expr: string;
  step?: string;
  tagKeys?: string;
  textFormat?: string;
  titleFormat?: string;
  useValueForTime?: boolean;
}

export interface Board extends Omit<Dashboard, "annotations" | "panels"> {
  annotations: { list: Annotation[] };
  panels: AnyPanel[];
}
