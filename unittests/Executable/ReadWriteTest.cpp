//===- ReadWriteTest.cpp - files, whole and damaged -------------------------===//

#include "TestProgram.h"

#include <filesystem>

#include <csignal>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

using namespace wafer;
using namespace wafer::test;
namespace fs = std::filesystem;

namespace {

std::vector<uint8_t> linearBytes() { return writeExecutable(linearProgram()); }

/// Reads and verifies; true when accepted. Anything but an ExecutableError escapes and fails the test.
bool accepted(const std::vector<uint8_t> &bytes) {
  try {
    LoadedProgram::verify(readExecutable(bytes.data(), bytes.size()));
    return true;
  } catch (const ExecutableError &) {
    return false;
  }
}

std::string readRefusal(const std::vector<uint8_t> &bytes) {
  try {
    readExecutable(bytes.data(), bytes.size());
    return "";
  } catch (const ExecutableError &error) {
    return error.what();
  }
}

/// A folder of its own for a test, removed afterwards.
class Folder {
public:
  explicit Folder(const std::string &name) : path_(fs::path(testing::TempDir()) / ("wafer-" + name + "-" + std::to_string(getpid()))) {
    fs::create_directories(path_);
  }
  ~Folder() { fs::remove_all(path_); }
  std::string file(const std::string &name) const { return (path_ / name).string(); }
  size_t files() const { return size_t(std::distance(fs::directory_iterator(path_), fs::directory_iterator())); }

private:
  fs::path path_;
};

TEST(ReadWrite, BytesDependOnTheProgramOnly) {
  std::vector<uint8_t> bytes = linearBytes();
  EXPECT_EQ(bytes, writeExecutable(readExecutable(bytes.data(), bytes.size())));
}

// A file of a few kilobytes must not unpack to gigabytes.
TEST(ReadWrite, exe_c1_PartsThatShareBytesAreRefused) {
  flatbuffers::FlatBufferBuilder builder;
  auto name = builder.CreateString(std::string(1000, 'x'));
  std::vector<flatbuffers::Offset<wexe::Colour>> colours;
  for (uint8_t number = 0; number < 20; ++number)
    colours.push_back(wexe::CreateColour(builder, number, name));
  auto program = wexe::CreateProgram(builder, executableFormatVersion, isaHash(), 0, 0, 0, builder.CreateVector(colours));
  wexe::FinishProgramBuffer(builder, program);
  EXPECT_NE(readRefusal({builder.GetBufferPointer(), builder.GetBufferPointer() + builder.GetSize()}).find("two parts of it share bytes"), std::string::npos);
}

// Bytes from elsewhere may lie anywhere.
TEST(ReadWrite, UnalignedBytesAreRead) {
  std::vector<uint8_t> bytes = linearBytes();
  bytes.insert(bytes.begin(), 0);
  EXPECT_EQ(readExecutable(bytes.data() + 1, bytes.size() - 1).producer, "by hand");
}

TEST(ReadWrite, TruncatedFileIsRefusedAtEveryLength) {
  std::vector<uint8_t> bytes = linearBytes();
  for (size_t length = 0; length < bytes.size(); ++length) {
    // An exact copy, so that a read past the end is seen by the address sanitizer.
    std::vector<uint8_t> part(bytes.begin(), bytes.begin() + long(length));
    // Padding at the end is all that a file can do without.
    if (accepted(part)) {
      EXPECT_EQ(writeExecutable(readExecutable(part.data(), part.size())), bytes) << length;
      EXPECT_GT(length + 8, bytes.size());
    }
  }
}

// A damaged file is refused or is another valid program, and never more than that.
TEST(ReadWrite, FlippedBytesNeverHurt) {
  std::vector<uint8_t> bytes = linearBytes();
  size_t refused = 0;
  for (uint8_t flip : {0x01, 0x80, 0xff})
    for (size_t i = 0; i < bytes.size(); ++i) {
      bytes[i] ^= flip;
      refused += !accepted(bytes);
      bytes[i] ^= flip;
    }
  EXPECT_GT(refused, bytes.size());
}

TEST(ReadWrite, exe_c1_OtherFilesAreRefused) {
  std::string text = "this is not an executable";
  EXPECT_NE(readRefusal({text.begin(), text.end()}).find("is not an executable: bytes 4..7 should be 'WEXE' (exe_c1)"), std::string::npos);
  EXPECT_NE(readRefusal({}), "");
}

TEST(ReadWrite, exe_c2_OtherVersionIsRefused) {
  wexe::ProgramT program = linearProgram();
  program.format_version = 7;
  EXPECT_NE(readRefusal(writeExecutable(program)).find("has format version 7, expected " + std::to_string(executableFormatVersion)), std::string::npos);
}

TEST(ReadWrite, exe_c2_OtherInstructionTableIsRefused) {
  wexe::ProgramT program = linearProgram();
  program.isa_hash = 5;
  EXPECT_NE(readRefusal(writeExecutable(program)).find("was made for instruction table 0x0000000000000005"), std::string::npos);
}

TEST(ReadWrite, exe_c3_MachineIsValidAndHasItsHash) {
  wexe::ProgramT program = linearProgram();
  program.machine_hash ^= 1;
  expectRefused(program, "exe_c3", "section 'machine_hash'");

  program = linearProgram();
  program.machine = "{}";
  expectRefused(program, "exe_c3", "section 'machine': field 'name' is missing");
}

TEST(ReadWrite, FileIsReadBackAndNamedInMessages) {
  Folder folder("read");
  std::vector<uint8_t> bytes = linearBytes();
  writeFileAtomically(folder.file("a.wexe"), bytes.data(), bytes.size());
  EXPECT_EQ(LoadedProgram::readFile(folder.file("a.wexe")).program().producer, "by hand");
  EXPECT_EQ(folder.files(), 1u);

  writeFileAtomically(folder.file("a.wexe"), bytes.data(), 100);
  try {
    LoadedProgram::readFile(folder.file("a.wexe"));
    FAIL() << "a truncated file was accepted";
  } catch (const ExecutableError &error) {
    EXPECT_EQ(std::string(error.what()).find(folder.file("a.wexe") + ": is damaged"), 0u) << error.what();
  }
}

TEST(ReadWrite, FileThatIsNotThereIsNamed) {
  EXPECT_THROW(LoadedProgram::readFile("/nowhere/a.wexe"), ExecutableError);
  EXPECT_THROW(LoadedProgram::readFile(testing::TempDir()), ExecutableError);
}

TEST(ReadWrite, FolderThatIsNotThereIsAnError) {
  try {
    writeFileAtomically("/nowhere/a.wexe", "x", 1);
    FAIL() << "a file was written into a missing folder";
  } catch (const ExecutableError &error) {
    EXPECT_NE(std::string(error.what()).find("/nowhere/a.wexe: cannot be written"), std::string::npos) << error.what();
  }
}

TEST(ReadWrite, FailedReplacementLeavesNothingBehind) {
  Folder folder("replace");
  fs::create_directories(folder.file("a.wexe/inside"));
  EXPECT_THROW(writeFileAtomically(folder.file("a.wexe"), "x", 1), ExecutableError);
  EXPECT_EQ(folder.files(), 1u);
}

// --stats /dev/null, run by root, must not turn the device into a file.
TEST(ReadWrite, PipeIsWrittenToAndNotReplaced) {
  Folder folder("pipe");
  ASSERT_EQ(mkfifo(folder.file("pipe").c_str(), 0600), 0);
  int reader = open(folder.file("pipe").c_str(), O_RDWR | O_NONBLOCK);
  writeFileAtomically(folder.file("pipe"), "text", 4);
  char got[8] = {};
  EXPECT_EQ(read(reader, got, sizeof got), 4);
  close(reader);
  EXPECT_TRUE(fs::is_fifo(folder.file("pipe")));
  EXPECT_EQ(folder.files(), 1u);
}

TEST(ReadWrite, FullDeviceIsAnError) {
  Folder folder("device");
  fs::create_symlink("/dev/full", folder.file("full"));
  EXPECT_THROW(writeFileAtomically(folder.file("full"), "x", 1), ExecutableError);
  EXPECT_TRUE(fs::is_character_file(folder.file("full")));
  EXPECT_EQ(folder.files(), 1u);
}

TEST(ReadWrite, SymbolicLinkStaysAndItsFileIsReplaced) {
  Folder folder("link");
  writeFileAtomically(folder.file("a.wexe"), "old", 3);
  fs::create_symlink("a.wexe", folder.file("link"));
  writeFileAtomically(folder.file("link"), "newer", 5);
  EXPECT_TRUE(fs::is_symlink(folder.file("link")));
  EXPECT_EQ(fs::file_size(folder.file("a.wexe")), 5u);
}

// A limit on the size of files stands for a full disk.
TEST(ReadWrite, FullDiskKeepsTheOldFile) {
  Folder folder("full");
  writeFileAtomically(folder.file("a.wexe"), "old", 3);
  rlimit before;
  getrlimit(RLIMIT_FSIZE, &before);
  auto handler = std::signal(SIGXFSZ, SIG_IGN);
  rlimit small = {16, before.rlim_max};
  setrlimit(RLIMIT_FSIZE, &small);
  std::string text(1000, 'x');
  EXPECT_THROW(writeFileAtomically(folder.file("a.wexe"), text.data(), text.size()), ExecutableError);
  setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  EXPECT_EQ(folder.files(), 1u);
  EXPECT_EQ(fs::file_size(folder.file("a.wexe")), 3u);
}

} // namespace
