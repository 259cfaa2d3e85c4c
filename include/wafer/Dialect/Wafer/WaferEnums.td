//===- WaferEnums.td - enumerations of the wafer dialect ---------------------===//

#ifndef WAFER_DIALECT_WAFER_WAFERENUMS_TD
#define WAFER_DIALECT_WAFER_WAFERENUMS_TD

include "mlir/IR/EnumAttr.td"

class Wafer_Enum<string name, string doc, list<I32EnumAttrCase> cases> : I32EnumAttr<name, doc, cases> {
  let cppNamespace = "::wafer::wfr";
  let genSpecializedAttr = 0;
}

def Wafer_ChannelKind : Wafer_Enum<"ChannelKind", "the shape of a channel on a grid", [
    I32EnumAttrCase<"ColumnMulticast", 0, "column_multicast">,   // north port -> every row of the column; one colour
    I32EnumAttrCase<"RelayIn", 1, "relay_in">,                   // north port -> row 0 -> row 1 ...; two colours by row parity
    I32EnumAttrCase<"RelayOut", 2, "relay_out">,                 // row 0 -> row 1 ... -> south port; two colours by row parity
    I32EnumAttrCase<"ChainEast", 3, "chain_east">,               // column c -> c + 1 of the group; two colours by column parity
    I32EnumAttrCase<"ChainWest", 4, "chain_west">,               // column c -> c - 1
    I32EnumAttrCase<"MulticastWest", 5, "multicast_west">,       // last column of the group -> all others of its row; one colour
    I32EnumAttrCase<"ChainSouth", 6, "chain_south">,             // row y -> y + 1, last row -> south port; two colours by row parity
    I32EnumAttrCase<"GroupSums", 7, "group_sums">,               // row y -> y + 1, then below the grid group g -> g + 1, last group -> south port; three colours
    I32EnumAttrCase<"ColumnRing", 8, "column_ring">,             // of a band: even rows southwards, odd ones back, and around again; four colours
    I32EnumAttrCase<"ColumnPairs", 9, "column_pairs">]>;         // column 2i of the group -> 2i + 1, and back; a colour each way

def Wafer_DescriptorKind : Wafer_Enum<"DescriptorKind", "as wexe.DescKind", [
    I32EnumAttrCase<"Mem", 0, "mem">, I32EnumAttrCase<"Acc", 1, "acc">, I32EnumAttrCase<"Receive", 2, "receive">, I32EnumAttrCase<"Send", 3, "send">,
    I32EnumAttrCase<"Const", 4, "const">]>;

def Wafer_PerCoreKind : Wafer_Enum<"PerCoreKind", "an extent or constant that differs from core to core", [
    I32EnumAttrCase<"RowsBefore", 0, "rows_before">,             // y - y0: blocks that come from the north on the way out
    I32EnumAttrCase<"RowsAfter", 1, "rows_after">,               // y0 + rows - 1 - y: blocks to pass on on the way in
    I32EnumAttrCase<"ValidFeatures", 2, "valid_features">,       // how many of `features` the column holds (layout_c2)
    I32EnumAttrCase<"LastColumn", 3, "last_column">,             // as written in the group's last column, 0 elsewhere
    I32EnumAttrCase<"NotLastColumn", 4, "not_last_column">,      // 0 in the group's last column, as written elsewhere
    I32EnumAttrCase<"LastOfSeveral", 5, "last_of_several">,      // as last_column, but 0 when the group has one column: it has nobody to send to
    I32EnumAttrCase<"NotFirstColumn", 6, "not_first_column">,    // 0 in the group's first column, as written elsewhere
    I32EnumAttrCase<"RowNumber", 7, "row_number">]>;             // of the row in its band, what a constant is

def Wafer_TaskKind : Wafer_Enum<"TaskKind", "what starts a task", [I32EnumAttrCase<"Control", 0, "control">, I32EnumAttrCase<"Data", 1, "data">]>;

def Wafer_Direction : Wafer_Enum<"Direction", "router port", [I32EnumAttrCase<"N", 0>, I32EnumAttrCase<"E", 1>, I32EnumAttrCase<"S", 2>, I32EnumAttrCase<"W", 3>,
    I32EnumAttrCase<"Ramp", 4, "ramp">]>;

#endif
