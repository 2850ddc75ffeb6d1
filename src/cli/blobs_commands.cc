// holdfast blobs ...: bytes of any size.

#include <memory>

#include "cli/command_tree.h"
#include "cli/context.h"
#include "cli/exit.h"
#include "cli/input.h"
#include "cli/payloads.h"
#include "holdfast/blobs.h"

namespace holdfast::cli {
namespace {

using Kind = Argument::Kind;

const Argument kPrefix{"--prefix", "where in the database the blobs lie", Kind::text, "PREFIX", "blobs"};
const Argument kKey{.name = "KEY", .help = "1 to 1024 bytes", .required = true};

Blobs blobs_of(Context& context, const Arguments& arguments) {
  return Blobs(context.database(), arguments.text("--prefix"), context.environment().files);
}

std::vector<Argument> with_prefix(std::vector<Argument> arguments) {
  arguments.push_back(kPrefix);
  return arguments;
}

std::vector<std::pair<std::string, Cell>> fields_of(const BlobInfo& info) {
  return {{"key", Cell::bytes(info.key)},
          {"size_bytes", Cell::number(info.size_bytes)},
          {"content_type", Cell::text(info.content_type)},
          {"hash", Cell::text(info.hash)},
          {"version", Cell::number(info.version)},
          {"created_at_ms", Cell::time(info.created_at_ms)},
          {"updated_at_ms", Cell::time(info.updated_at_ms)},
          {"metadata", payload_cell(info.metadata)}};
}

[[noreturn]] void no_such_blob() { throw Error(Code::not_found, "there is no blob under this key"); }

/// Draws how far a transfer has come, and ends it after Ctrl-C: nothing has changed then.
class Transfer {
 public:
  explicit Transfer(Context& context) : context_(context), bar_(stderr, context.shows_progress()) {}
  BlobProgress progress() {
    return [this](std::uint64_t done, std::optional<std::uint64_t> total) {
      context_.check_interrupt("nothing was changed");
      bar_.show("", done / 1'024, total.value_or(0) / 1'024, context_.elapsed_ms(), "KiB");
    };
  }
  void clear() { bar_.clear(); }

 private:
  Context& context_;
  ProgressBar bar_;
};

ByteSource standard_input() {
  return [input = std::make_shared<Input>("-", "nothing was changed")] {
    Bytes piece(std::size_t{1} << 20, '\0');
    piece.resize(input->read(piece.data(), piece.size()));
    return piece;
  };
}

int put(Context& context, const Arguments& arguments) {
  Transfer transfer(context);
  BlobPutOptions options;
  options.content_type = arguments.text("--type");
  if (const auto metadata = arguments.optional_text("--metadata"))
    options.metadata = Payload::parse(*metadata);
  options.only_if_absent = arguments.flag("--if-absent");
  if (arguments.given("--if-version")) options.only_if_version = arguments.number("--if-version");
  options.hash = arguments.optional_text("--hash");
  options.progress = transfer.progress();
  Blobs blobs = blobs_of(context, arguments);
  const std::string& path = arguments.text("FILE");
  const std::optional<BlobInfo> info = path == "-"
                                           ? blobs.put(arguments.text("KEY"), standard_input(), options)
                                           : blobs.put_file(arguments.text("KEY"), path, options);
  transfer.clear();
  if (!info) {
    throw Error(Code::conflict,
                "the blob is not what --if-absent or --if-version demands; nothing was changed");
  }
  context.out().object({{"size_bytes", Cell::number(info->size_bytes)}, {"hash", Cell::text(info->hash)}});
  return kExitSuccess;
}

int get(Context& context, const Arguments& arguments) {
  Transfer transfer(context);
  BlobReadOptions options;
  options.offset = arguments.number("--offset");
  if (arguments.given("--size-bytes")) options.size_bytes = arguments.number("--size-bytes");
  const std::string& path = arguments.text("FILE");
  const Blobs blobs = blobs_of(context, arguments);
  if (path == "-") {
    const auto sink = [&](View piece) {
      context.check_interrupt("the output is not whole");
      context.out().raw(piece);
    };
    if (!blobs.read(arguments.text("KEY"), sink, options)) no_such_blob();
  } else {
    options.progress = transfer.progress();
    const std::optional<BlobInfo> info = blobs.get_file(arguments.text("KEY"), path, options);
    transfer.clear();
    if (!info) no_such_blob();
    context.out().object({{"size_bytes", Cell::number(info->size_bytes)}, {"hash", Cell::text(info->hash)}});
  }
  return kExitSuccess;
}

int stat(Context& context, const Arguments& arguments) {
  const std::optional<BlobInfo> info = blobs_of(context, arguments).stat(arguments.text("KEY"));
  if (!info) no_such_blob();
  context.out().object(fields_of(*info));
  return kExitSuccess;
}

int list(Context& context, const Arguments& arguments) {
  const Blobs blobs = blobs_of(context, arguments);
  std::vector<std::string> names;
  for (const auto& [name, cell] : fields_of({})) names.push_back(name);
  context.out().table(names);
  show_list<BlobInfo>(
      context, arguments, [&](const ListOptions& options) { return blobs.list(options); },
      [&](const BlobInfo& info) {
        std::vector<Cell> cells;
        for (auto& [name, cell] : fields_of(info)) cells.push_back(std::move(cell));
        context.out().row(std::move(cells));
      });
  return kExitSuccess;
}

int erase(Context& context, const Arguments& arguments) {
  Blobs blobs = blobs_of(context, arguments);
  std::uint64_t count = 0;
  for (const std::string& key : arguments.list("KEY")) count += blobs.erase(key) ? 1 : 0;
  context.out().object({{"deleted", Cell::number(count)}});
  if (count == 0) no_such_blob();
  return kExitSuccess;
}

int rename(Context& context, const Arguments& arguments) {
  if (!blobs_of(context, arguments).rename(arguments.text("FROM"), arguments.text("TO"))) no_such_blob();
  return kExitSuccess;
}

int copy(Context& context, const Arguments& arguments) {
  Transfer transfer(context);
  const auto info =
      blobs_of(context, arguments).copy(arguments.text("FROM"), arguments.text("TO"), transfer.progress());
  transfer.clear();
  if (!info) no_such_blob();
  context.out().object({{"size_bytes", Cell::number(info->size_bytes)}, {"hash", Cell::text(info->hash)}});
  return kExitSuccess;
}

int verify(Context& context, const Arguments& arguments) {
  Transfer transfer(context);
  const auto info = blobs_of(context, arguments).verify(arguments.text("KEY"), transfer.progress());
  transfer.clear();
  if (!info) no_such_blob();
  context.out().object({{"size_bytes", Cell::number(info->size_bytes)}, {"hash", Cell::text(info->hash)}});
  return kExitSuccess;
}

}  // namespace

std::vector<Command> blobs_commands() {
  return {
      {.path = "blobs put",
       .summary = "store a file, or the standard input, under a key",
       .details = "Nobody sees half a blob; an upload that is interrupted changes nothing.",
       .arguments = with_prefix(
           {kKey,
            {.name = "FILE", .help = "- is the standard input", .kind = Kind::file, .otherwise = "-"},
            {"--type", "the content type", Kind::text, "TYPE", "application/octet-stream"},
            {"--metadata", "a JSON object", Kind::text, "JSON"},
            {"--hash", "refuse bytes with another BLAKE2b-256", Kind::text, "HEX"},
            {"--if-absent", "only if there is no blob", Kind::flag},
            {"--if-version", "only if the blob has this version", Kind::number, "VERSION"}}),
       .examples = {{"blobs put photos/1.jpg 1.jpg --type image/jpeg", "a file"},
                    {"blobs put backup.tar < backup.tar", "a pipe"}},
       .run = put},
      {.path = "blobs get",
       .summary = "write a blob to a file or to the standard output",
       .details = "A file is replaced at once when all bytes are there.",
       .arguments = with_prefix(
           {kKey,
            {.name = "FILE", .help = "- is the standard output", .kind = Kind::file, .otherwise = "-"},
            {"--offset", "begin here", Kind::number, "BYTES", "0"},
            {"--size-bytes", "so many bytes", Kind::number, "BYTES"}}),
       .examples = {{"blobs get photos/1.jpg 1.jpg", "into a file"},
                    {"blobs get backup.tar --size-bytes 512 | file -", "the beginning"}},
       .run = get},
      {.path = "blobs stat",
       .summary = "size, type, hash, times and metadata of a blob",
       .arguments = with_prefix({kKey}),
       .examples = {{"blobs stat photos/1.jpg", "without its bytes"}},
       .run = stat},
      {.path = "blobs list",
       .summary = "blobs in the order of their keys",
       .arguments = with_prefix(list_arguments("keys")),
       .examples = {{"blobs list photos/", "of a kind"}},
       .run = list},
      {.path = "blobs delete",
       .summary = "remove blobs",
       .arguments = with_prefix({{.name = "KEY", .help = "keys", .required = true, .repeated = true}}),
       .examples = {{"blobs delete photos/1.jpg", "one"}},
       .run = erase},
      {.path = "blobs rename",
       .summary = "move a blob to another key, replacing what is there",
       .arguments = with_prefix({{.name = "FROM", .help = "its key", .required = true},
                                 {.name = "TO", .help = "its new key", .required = true}}),
       .examples = {{"blobs rename draft.pdf final.pdf", "in one commit, whatever its size"}},
       .run = rename},
      {.path = "blobs copy",
       .summary = "copy a blob to another key, replacing what is there",
       .arguments = with_prefix({{.name = "FROM", .help = "its key", .required = true},
                                 {.name = "TO", .help = "the key of the copy", .required = true}}),
       .examples = {{"blobs copy final.pdf archive/final.pdf", "with its content type and metadata"}},
       .run = copy},
      {.path = "blobs verify",
       .summary = "read all bytes of a blob and compare their hash",
       .arguments = with_prefix({kKey}),
       .examples = {{"blobs verify backup.tar", "exits with corruption if they are not those that were put"}},
       .run = verify},
  };
}

}  // namespace holdfast::cli
