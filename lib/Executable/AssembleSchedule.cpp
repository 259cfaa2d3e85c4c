//===- AssembleSchedule.cpp - entries, phases and steps from text ---------===//

#include "Assembler.h"

namespace wafer::text {

void Assembler::entry() {
  program_.entries.push_back(std::make_unique<wexe::EntryT>());
  wexe::EntryT &entry = *program_.entries.back();
  entry.name = in_.name("an entry's name");
  in_.fields({{"inputs", [&] { tensorList(entry.inputs); }}, {"outputs", [&] { tensorList(entry.outputs); }}});
  in_.block([&] { phase(entry); });
}

void Assembler::phase(wexe::EntryT &entry) {
  if (!in_.at(TokenKind::Identifier, "phase"))
    failAt(in_.token(), "'phase' or '}'");
  in_.take();
  entry.phases.push_back(std::make_unique<wexe::PhaseT>());
  wexe::PhaseT &phase = *entry.phases.back();
  phase.kind = static_cast<wexe::PhaseKind>(in_.enumerator(phaseWords(), "a kind of phase"));
  auto function = [&] {
    if (in_.token().kind == TokenKind::Number)
      phase.function = in_.integer<int32_t>("a function");
    else
      referenceInto(Space::Function, "a function", phase.function)();
  };
  in_.fields({{"command", referenceInto(Space::Colour, "a colour", phase.command_colour)},
              {"load", integerInto("a load", phase.load)},
              {"prologue", integerInto("a number of steps", phase.prologue)},
              {"function", function},
              {"inputs", [&] { tensorList(phase.inputs); }},
              {"outputs", [&] { tensorList(phase.outputs); }}},
             {{"continues", [&] { phase.continues = true; }}});
  in_.block([&] {
    if (in_.at(TokenKind::Identifier, "grid"))
      grid(phase);
    else
      step(phase);
  });
}

void Assembler::grid(wexe::PhaseT &phase) {
  Token word = in_.take();
  if (phase.grid)
    failAt(word, "one grid per phase");
  phase.grid = std::make_unique<wexe::GridT>();
  wexe::GridT &grid = *phase.grid;
  grid.groups = 1;
  grid.micro_batches = 1;
  auto at = [&] {
    Token token = in_.token();
    std::vector<uint16_t> pair = in_.integers<uint16_t>("a number of cores");
    if (pair.size() != 2)
      failAt(token, "two numbers, [x, y]");
    grid.x0 = pair[0];
    grid.y0 = pair[1];
  };
  in_.fields({{"at", at},
              {"columns", integerInto("a number of cores", grid.columns)},
              {"rows", integerInto("a number of cores", grid.rows)},
              {"groups", integerInto("a number of groups", grid.groups)},
              {"token_block", integerInto("a number of tokens", grid.token_block)},
              {"tokens", integerInto("a number of tokens", grid.tokens)},
              {"micro_batches", integerInto("a number of micro-batches", grid.micro_batches)},
              {"batches", integerInto("a number of batch entries", grid.batches)},
              {"batches_at_once", integerInto("a number of batch entries", grid.batches_at_once)},
              {"bands", integerInto("a number of bands", grid.bands)}});
  in_.endLine();
}

void Assembler::step(wexe::PhaseT &phase) {
  phase.steps.push_back(std::make_unique<wexe::StepT>());
  wexe::StepT &step = *phase.steps.back();
  if (in_.at(TokenKind::Identifier, "step")) {
    in_.take();
    if (!in_.at(TokenKind::Identifier, "kind"))
      failAt(in_.token(), "'kind='");
    in_.take();
    in_.expect("=");
    step.kind = static_cast<wexe::StepKind>(in_.integer<uint8_t>("a kind of step"));
  } else {
    step.kind = static_cast<wexe::StepKind>(in_.enumerator(stepWords(), "a kind of step"));
  }
  step.name = in_.name("a step's name");
  auto tensorInto = [this](int32_t &field) {
    return [this, &field] {
      if (in_.token().kind == TokenKind::Number)
        field = in_.integer<int32_t>("a tensor");
      else
        referenceInto(Space::Tensor, "a tensor", field)();
    };
  };
  auto taskInto = [this](uint16_t &field) { return referenceInto(Space::ControlTask, "a control task", field); };
  in_.fields({{"location", stringInto("a location", step.location)},
              {"tensor", tensorInto(step.tensor)},
              {"bias", tensorInto(step.bias)},
              {"pattern", tensorInto(step.pattern)},
              {"type", enumeratorInto(typeWords(), "a type", step.type)},
              {"wire", enumeratorInto(wireWords(), "a wire format", step.wire)},
              {"link", enumeratorInto(linkWords(), "a link format", step.link)},
              {"link_kept", integerInto("a count", step.link_kept)},
              {"link_size", integerInto("a count", step.link_size)},
              {"rows", integerInto("a count", step.rows)},
              {"columns", integerInto("a count", step.columns)},
              {"row_stride", integerInto("a stride", step.row_stride)},
              {"column_stride", integerInto("a stride", step.column_stride)},
              {"offset", integerInto("an offset", step.offset)},
              {"batch_sizes", [&] { step.batch_sizes = in_.integers<uint32_t>("a count"); }},
              {"batch_strides", [&] { step.batch_strides = in_.integers<int64_t>("a stride"); }},
              {"feature_block", integerInto("a count", step.feature_block)},
              {"out_block", integerInto("a count", step.out_block)},
              {"input_zeros", integerInto("thousandths", step.input_zeros)},
              {"guard", tensorInto(step.guard)},
              {"output_zeros", integerInto("thousandths", step.output_zeros)},
              {"colour", referenceInto(Space::Colour, "a colour", step.colour)},
              {"task", taskInto(step.task)},
              {"task_east", taskInto(step.task_east)},
              {"task_west", taskInto(step.task_west)},
              {"task_own", taskInto(step.task_own)},
              {"task_bias", taskInto(step.task_bias)},
              {"mask_east", taskInto(step.mask_east)},
              {"mask_west", taskInto(step.mask_west)},
              {"mask_own", taskInto(step.mask_own)},
              {"mask_last", taskInto(step.mask_last)},
              {"times", integerInto("a count", step.times)},
              {"macs", integerInto("a count", step.macs)},
              {"rows_together", integerInto("a count", step.rows_together)},
              {"beside", integerInto("a number of steps", step.beside)}},
             {{"groups_added", [&] { step.groups_added = true; }}});
  in_.endLine();
}

} // namespace wafer::text
