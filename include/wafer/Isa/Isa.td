//===- Isa.td - the one table of machine instructions ---------------------===//
//
// Encoder, decoder, assembler, disassembler, emulator dispatch, the `pe` dialect and docs/spec/isa.md are generated from this file by
// wafer-tblgen. Meaning of each instruction: docs/spec/machine.md. An instruction is one 64-bit word; bits that no field covers are zero.
//
//===----------------------------------------------------------------------===//

#ifndef WAFER_ISA_TD
#define WAFER_ISA_TD

/// What a field holds, which decides how the assembler prints and parses it and which attribute the `pe` op has.
class FieldKind<string n, string doc> {
  string name = n;
  string description = doc;
}
def DescriptorKind : FieldKind<"descriptor", "a descriptor register, printed d0..d47">;
def TypeKind : FieldKind<"type", "a compute type, printed as a suffix: add.f32">;
def FlagKind : FieldKind<"flag", "a one-bit flag, printed by name after the operands when set">;
def TemplateKind : FieldKind<"template", "number of a descriptor template of the image, printed %N">;
def PcKind : FieldKind<"pc", "number of an instruction in the image, printed @N">;
def SignedKind : FieldKind<"signed", "a signed immediate">;

/// Bits [lo, lo + width) of the instruction word.
class Field<string n, int l, int w, FieldKind k, string doc> {
  string name = n;
  int lo = l;
  int width = w;
  FieldKind kind = k;
  string description = doc;
}
// The opcode takes bits 0..7 of every instruction.
def Type : Field<"type", 8, 4, TypeKind, "compute type">;
def Dst : Field<"dst", 12, 6, DescriptorKind, "destination">;
def Src0 : Field<"src0", 18, 6, DescriptorKind, "first source">;
def Src1 : Field<"src1", 24, 6, DescriptorKind, "second source">;
def Src2 : Field<"src2", 30, 6, DescriptorKind, "third source">;
def Async : Field<"async", 36, 1, FlagKind, "runs as a microthread">;
def Clear1 : Field<"clear1", 37, 1, FlagKind, "src1 elements become 0 once read">;
def Skip0 : Field<"skip0", 38, 1, FlagKind, "src0 elements that are 0 are passed over">;
def Template : Field<"template", 48, 16, TemplateKind, "descriptor template">;
def Pc : Field<"pc", 48, 16, PcKind, "data task entry">;
def Offset : Field<"offset", 48, 16, SignedKind, "byte offset">;

/// Compute and element types. `encoding` is the value of the `type` field and of descriptors in the executable.
class IsaType<string m, int c, int bytes> {
  string mnemonic = m;
  int encoding = c;
  int byteSize = bytes;
}
def F32 : IsaType<"f32", 1, 4>;
def F16 : IsaType<"f16", 2, 2>;
def BF16 : IsaType<"bf16", 3, 2>;
def I32 : IsaType<"i32", 4, 4>;
def I16 : IsaType<"i16", 5, 2>;
def I8 : IsaType<"i8", 6, 1>;

/// How an engine runs an instruction and which cycle constants of the machine apply.
class InsnClass<string n> { string name = n; }
def Vector : InsnClass<"vector">;         // element-wise over descriptors, lanes.vector per type
def Function : InsnClass<"function">;     // element-wise nonlinear, lanes.function
def Trigger : InsnClass<"trigger">;       // arrival-triggered FMAC, lanes.fmac_acc / lanes.fmac_mem
def Control : InsnClass<"control">;       // scalar_cycles, or descriptor_cycles for ldd

class Insn<string m, int op, InsnClass c, list<Field> f, list<IsaType> t, string summ> {
  string mnemonic = m;
  int opcode = op;
  InsnClass insnClass = c;
  list<Field> fields = f;
  list<IsaType> types = t;                // legal compute types; empty when there is no type field
  string summary = summ;
}

defvar floats = [F32, F16, BF16];
defvar numbers = [F32, F16, BF16, I32, I16, I8];
class Unary<string m, int op, InsnClass c, list<IsaType> t, string summ> : Insn<m, op, c, [Type, Dst, Src0, Async], t, summ>;
class Binary<string m, int op, list<IsaType> t, string summ> : Insn<m, op, Vector, [Type, Dst, Src0, Src1, Async, Clear1], t, summ>;
class Ternary<string m, int op, list<IsaType> t, string summ> : Insn<m, op, Vector, [Type, Dst, Src0, Src1, Src2, Async], t, summ>;

// Control.
def END : Insn<"end", 1, Control, [], [], "end of the task">;
def LDD : Insn<"ldd", 2, Control, [Dst, Template], [], "dst = descriptor template">;
def SWAPD : Insn<"swapd", 3, Control, [Dst, Src0], [], "exchange two descriptor registers">;
def ADDD : Insn<"addd", 4, Control, [Dst, Offset], [], "dst.base += offset bytes">;
def BIND : Insn<"bind", 5, Control, [Pc], [], "data wavelets run the data task at pc">;

// Arrival-triggered FMAC: dst[j] = fma(value, src0[index][j], dst[j]) in f32, for i8 in i32. The type is the value's.
def FMACW : Insn<"fmacw", 16, Trigger, [Type, Dst, Src0, Skip0], [F16, BF16, I8], "FMAC by an (index, value) wavelet; of i8 in i32">;
def FMACP : Insn<"fmacp", 17, Trigger, [Type, Dst, Src0, Skip0], [F16, BF16], "FMAC by two 16-bit values with implicit index">;
def FMACD : Insn<"fmacd", 18, Trigger, [Type, Dst, Src0, Skip0], [F32], "FMAC by one f32 value with implicit index">;
def FMACQ : Insn<"fmacq", 19, Trigger, [Type, Dst, Src0, Skip0], [I8], "FMAC by four 8-bit integers with implicit index, in i32">;
def FMACX : Insn<"fmacx", 20, Trigger, [Type, Dst, Src0, Skip0], [F32], "FMAC by two wavelets, an index and an f32 value">;

// The same under a mask: elements j for which src1[j] is 0 are passed over, dst[j] stays as it is.
def FMACWM : Insn<"fmacwm", 25, Trigger, [Type, Dst, Src0, Src1, Skip0], [F16, BF16, I8], "fmacw where src1 is not 0">;
def FMACPM : Insn<"fmacpm", 26, Trigger, [Type, Dst, Src0, Src1, Skip0], [F16, BF16], "fmacp where src1 is not 0">;
def FMACDM : Insn<"fmacdm", 27, Trigger, [Type, Dst, Src0, Src1, Skip0], [F32], "fmacd where src1 is not 0">;
def FMACQM : Insn<"fmacqm", 28, Trigger, [Type, Dst, Src0, Src1, Skip0], [I8], "fmacq where src1 is not 0">;
def FMACXM : Insn<"fmacxm", 29, Trigger, [Type, Dst, Src0, Src1, Skip0], [F32], "fmacx where src1 is not 0">;

// Arrival-triggered dot product of two rows, on its way through the fabric.
def DOTW : Insn<"dotw", 24, Trigger, [Type, Dst, Src0, Src1, Src2], [F32, F16, BF16], "dst = src2 + src0[index] . src1 for each index of a run, by a wavelet">;

// Arrival-triggered addition, on its way through the fabric.
def ADDW : Insn<"addw", 30, Trigger, [Type, Dst, Src0], [F32], "dst = src0 + the f32 that arrives">;

// Element-wise, one source.
def MOV : Unary<"mov", 32, Vector, numbers, "dst = src0, converted">;
def NEG : Unary<"neg", 33, Vector, numbers, "dst = -src0">;
def ABS : Unary<"abs", 34, Vector, numbers, "dst = |src0|">;
def FLOOR : Unary<"floor", 35, Vector, floats, "dst = largest integer <= src0">;
def CEIL : Unary<"ceil", 36, Vector, floats, "dst = smallest integer >= src0">;
def ROUND : Unary<"round", 37, Vector, floats, "dst = nearest integer, ties to even">;

// Element-wise, two sources.
def ADD : Binary<"add", 48, numbers, "dst = src0 + src1">;
def SUB : Binary<"sub", 49, numbers, "dst = src0 - src1">;
def MUL : Binary<"mul", 50, numbers, "dst = src0 * src1">;
def DIV : Binary<"div", 51, floats, "dst = src0 / src1">;
def MIN : Binary<"min", 52, numbers, "dst = min(src0, src1)">;
def MAX : Binary<"max", 53, numbers, "dst = max(src0, src1)">;
def CMPEQ : Binary<"cmpeq", 54, numbers, "dst = src0 == src1">;
def CMPNE : Binary<"cmpne", 55, numbers, "dst = src0 != src1 (true for NaN)">;
def CMPLT : Binary<"cmplt", 56, numbers, "dst = src0 < src1">;
def CMPLE : Binary<"cmple", 57, numbers, "dst = src0 <= src1">;
def AND : Binary<"and", 58, [I32, I16, I8], "dst = src0 & src1">;
def OR : Binary<"or", 59, [I32, I16, I8], "dst = src0 | src1">;
def XOR : Binary<"xor", 60, [I32, I16, I8], "dst = src0 ^ src1">;

// Element-wise, three sources.
def FMA : Ternary<"fma", 64, floats, "dst = src0 * src1 + src2, one rounding in f32">;
def SELECT : Ternary<"select", 65, numbers, "dst = src0 != 0 ? src1 : src2">;
def FMAC : Ternary<"fmac", 66, [F32], "dst = src0 * src1 + src2 as fma, on the lanes of FMACs">;

// Nonlinear functions.
def EXP : Unary<"exp", 80, Function, floats, "dst = e^src0">;
def LOG : Unary<"log", 81, Function, floats, "dst = ln src0">;
def TANH : Unary<"tanh", 82, Function, floats, "dst = tanh src0">;
def SIGMOID : Unary<"sigmoid", 83, Function, floats, "dst = 1 / (1 + e^-src0)">;
def ERF : Unary<"erf", 84, Function, floats, "dst = erf src0">;
def SQRT : Unary<"sqrt", 85, Function, floats, "dst = square root of src0">;
def RSQRT : Unary<"rsqrt", 86, Function, floats, "dst = 1 / square root of src0">;
def RECIP : Unary<"recip", 87, Function, floats, "dst = 1 / src0">;
def SIN : Unary<"sin", 88, Function, floats, "dst = sin src0">;
def COS : Unary<"cos", 89, Function, floats, "dst = cos src0">;

#endif // WAFER_ISA_TD
