#include "backends/file/checkpoint_reader.h"

#include "holdfast/error.h"
#include "holdfast/limits.h"

namespace holdfast::file {

std::optional<CheckpointReader::Block> CheckpointReader::next() {
  std::optional<Block> block = block_at(offset_);
  if (!block || block->number != next_number_) return std::nullopt;
  go_behind(*block);
  return block;
}

std::optional<CheckpointReader::Block> CheckpointReader::find_later() {
  for (std::uint64_t at = offset_; at < window_.size_bytes(); at += kBlockAlignment) {
    std::optional<Block> block = block_at(at);
    if (block && block->number >= next_number_) {
      go_behind(*block);
      return block;
    }
  }
  return std::nullopt;
}

std::optional<CheckpointReader::Block> CheckpointReader::block_at(std::uint64_t offset) {
  const std::optional<Frame> frame = peek_frame(window_.at(offset, kFrameBytes), file_id_);
  if (!frame || frame->body_bytes > window_.size_bytes() - offset) return std::nullopt;
  const View bytes = window_.at(offset, kFrameBytes + frame->body_bytes);
  if (!frame_is_intact(bytes, *frame)) return std::nullopt;
  return Block{frame->number, offset, bytes.substr(kFrameBytes)};
}

void CheckpointReader::go_behind(const Block& block) {
  const std::uint64_t end = block.body_offset() + block.body.size();
  offset_ = (end + kBlockAlignment - 1) / kBlockAlignment * kBlockAlignment;
  next_number_ = block.number + 1;
}

void CheckpointLoader::load(const CheckpointReader::Block& block) {
  Decoder decoder(block.body);
  while (!decoder.done()) {
    const auto item = static_cast<BlockItem>(decoder.get8());
    if (item == BlockItem::database) {
      const View name = decoder.get_bytes();
      const bool is_new = !database_ || database_->name() != name;
      // Only neighbouring blocks share a database.
      if (name.empty() || (is_new && contents_.find_as_writer(name) != nullptr)) {
        decoder.reject();
      } else if (is_new) {
        database_ = contents_.load(name);
        last_key_.clear();
      }
      continue;
    }
    if (item == BlockItem::footer) {
      footer_.emplace();
      footer_->needs_sequence = decoder.get_number();
      footer_->databases = decoder.get_number();
      footer_->entries = decoder.get_number();
      continue;
    }
    if (database_) {
      load_item(decoder, item, block);
    } else {
      decoder.reject();
    }
  }
  if (!decoder.ok()) throw Error(Code::corruption, "a block is malformed");
}

void CheckpointLoader::load_item(Decoder& decoder, BlockItem item, const CheckpointReader::Block& block) {
  if (item == BlockItem::head) {
    const Head head = decode_head(decoder);
    const std::uint64_t sequence = decoder.get_number();
    if (decoder.ok()) database_->set_head(head, sequence);
  } else if (item == BlockItem::session) {
    SessionRecord record;
    const SessionId id = decode_session(decoder, record);
    if (decoder.ok()) database_->load_session(id) = std::move(record);
  } else if (item == BlockItem::log_row) {
    const Seq seq = decoder.get_number();
    const View key = decoder.get_bytes();
    if (decoder.ok()) database_->load_log_row(seq, key);
  } else if (item == BlockItem::entry) {
    load_entry(decoder, block);
  } else {
    decoder.reject();
  }
}

void CheckpointLoader::load_entry(Decoder& decoder, const CheckpointReader::Block& block) {
  Stored stored;
  stored.version = decoder.get_number();
  if (decoder.get8() != 0) stored.expires_at_ms = decoder.get_signed();
  const View key = decoder.get_bytes();
  const auto size = static_cast<std::size_t>(decoder.get_number());
  ValueReference reference;
  if (size > kMaxInlineValueBytes) reference.checksum = decoder.get32();
  stored.value = decoder.get_raw(size);
  if (key.empty() || key.size() > limits::kKeyBytes || key <= View(last_key_)) decoder.reject();
  if (!decoder.ok()) return;
  if (size > kMaxInlineValueBytes) {
    reference.file = file_;
    reference.offset =
        block.body_offset() + static_cast<std::uint64_t>(stored.value.data() - block.body.data());
    reference.size_bytes = size;
    stored.value = reference.bytes();
    stored.on_disk = true;
  }
  database_->load_entry(key, stored);
  last_key_.assign(key);
  ++entries_;
}

CheckpointFooter load_checkpoint(const OpenNumberedFile& checkpoint, Contents& contents, std::uint32_t file) {
  CheckpointReader reader(*checkpoint.file, checkpoint.header);
  CheckpointLoader loader(contents, file);
  const auto damaged = [&](std::uint64_t offset, const std::string& what) {
    throw Error(Code::corruption, "\"" + checkpoint.path + "\", offset " + std::to_string(offset) + ": " +
                                      what + "; restore the folder from a backup, or run repair");
  };
  while (!loader.footer()) {
    const std::optional<CheckpointReader::Block> block = reader.next();
    if (!block) damaged(reader.offset(), "a block is damaged or missing");
    try {
      loader.load(*block);
    } catch (const Error& error) {
      damaged(block->offset, error.what());
    }
  }
  if (loader.entries() != loader.footer()->entries) damaged(reader.offset(), "entries are missing");
  return *loader.footer();
}

}  // namespace holdfast::file
