rm models/export.sql
