select * from {{ ref('raw_receipts') }}
