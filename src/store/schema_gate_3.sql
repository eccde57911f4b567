-- Version 3: the SHA-256 of the file that this row was judged by. While the file is the same, so is
-- the judgement.
ALTER TABLE certs ADD COLUMN file_sha256 BLOB;
