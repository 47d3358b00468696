// The functions of pg_catalog that leave nothing behind in a session, and the words that stand before a parenthesis without being the
// name of a function that anyone could define. Owns the lists; how a statement is read is not known here.
//
// Not on the list, though they look harmless: those that run SQL given as a string (query_to_xml, table_to_xml, ts_stat, ts_rewrite),
// setseed, and all that open, load, reset or send something.

function words(text: string): ReadonlySet<string> {
  return new Set(text.split(/\s+/).filter((word) => word !== ''));
}

/** Called by themselves or as `pg_catalog.name`, quoted or not. nextval and its kin leave the session's last values, which no one restores. */
export const CLEAN_FUNCTIONS: ReadonlySet<string> = words(`
  any_value array_agg avg bit_and bit_or bit_xor bool_and bool_or corr count covar_pop covar_samp every json_agg json_object_agg
  jsonb_agg jsonb_object_agg max min mode percentile_cont percentile_disc range_agg range_intersect_agg regr_avgx regr_avgy regr_count
  regr_intercept regr_r2 regr_slope regr_sxx regr_sxy regr_syy stddev stddev_pop stddev_samp string_agg sum var_pop var_samp variance
  xmlagg

  cume_dist dense_rank first_value lag last_value lead nth_value ntile percent_rank rank row_number

  ascii bit_length btrim casefold char_length character_length chr concat concat_ws convert convert_from convert_to decode encode format
  initcap left length like lower lpad ltrim md5 normalize octet_length overlay parse_ident position quote_ident quote_literal
  quote_nullable repeat replace reverse right rpad rtrim sha224 sha256 sha384 sha512 split_part starts_with string_to_array
  string_to_table strpos substr substring textlen to_ascii to_hex to_bin to_oct translate unicode_assigned unistr upper
  regexp_count regexp_instr regexp_like regexp_match regexp_matches regexp_replace regexp_split_to_array regexp_split_to_table
  regexp_substr get_bit get_byte set_bit set_byte bit_count crc32 crc32c

  abs acos acosd acosh asin asind asinh atan atan2 atan2d atand atanh cbrt ceil ceiling cos cosd cosh cot cotd degrees div erf erfc exp
  factorial floor gamma gcd lcm lgamma ln log log10 min_scale mod pi pow power radians random random_normal round scale sign sin sind
  sinh sqrt tan tand tanh trim_scale trunc width_bucket

  age clock_timestamp date_add date_bin date_part date_subtract date_trunc extract isfinite justify_days justify_hours justify_interval
  make_date make_interval make_time make_timestamp make_timestamptz now statement_timestamp timeofday timezone to_char to_date
  to_number to_timestamp transaction_timestamp overlaps

  array_to_json array_to_tsvector json_array_elements json_array_elements_text json_array_length json_build_array json_build_object
  json_each json_each_text json_extract_path json_extract_path_text json_object json_object_keys json_populate_record
  json_populate_recordset json_strip_nulls json_to_record json_to_recordset json_typeof jsonb_array_elements jsonb_array_elements_text
  jsonb_array_length jsonb_build_array jsonb_build_object jsonb_each jsonb_each_text jsonb_extract_path jsonb_extract_path_text
  jsonb_insert jsonb_object jsonb_object_keys jsonb_path_exists jsonb_path_exists_tz jsonb_path_match jsonb_path_query
  jsonb_path_query_array jsonb_path_query_first jsonb_path_query_tz jsonb_populate_record jsonb_populate_recordset jsonb_pretty
  jsonb_set jsonb_set_lax jsonb_strip_nulls jsonb_to_record jsonb_to_recordset jsonb_typeof row_to_json to_json to_jsonb

  array_append array_cat array_dims array_fill array_length array_lower array_ndims array_position array_positions array_prepend
  array_remove array_replace array_reverse array_sample array_shuffle array_sort array_to_string array_upper cardinality
  generate_series generate_subscripts trim_array unnest num_nonnulls num_nulls

  datemultirange daterange int4multirange int4range int8multirange int8range isempty lower_inc lower_inf multirange nummultirange
  numrange range_merge tsmultirange tsrange tstzmultirange tstzrange upper_inc upper_inf

  get_current_ts_config numnode phraseto_tsquery plainto_tsquery querytree setweight strip to_tsquery to_tsvector ts_delete ts_filter
  ts_headline ts_rank ts_rank_cd tsquery_phrase tsvector_to_array websearch_to_tsquery

  gen_random_uuid uuid_extract_timestamp uuid_extract_version uuidv4 uuidv7

  abbrev broadcast family host hostmask inet_merge inet_same_family masklen netmask network set_masklen
  area box center circle diagonal diameter height line lseg npoints path point polygon radius slope width
  xmlcomment xml_is_well_formed xpath xpath_exists

  bit bool bpchar bytea char cidr date float4 float8 int2 int4 int8 interval name numeric oid regclass text time timestamp
  timestamptz timetz varbit varchar xml macaddr8 bernoulli system

  current_database current_query current_schema current_schemas current_setting inet_client_addr inet_client_port inet_server_addr
  inet_server_port pg_backend_pid pg_blocking_pids pg_cancel_backend pg_client_encoding pg_collation_for pg_conf_load_time
  pg_is_in_recovery pg_is_other_temp_schema pg_listening_channels pg_my_temp_schema pg_postmaster_start_time pg_safe_snapshot_blocking_pids
  pg_terminate_backend pg_trigger_depth pg_typeof version row_security_active to_regclass to_regnamespace to_regproc to_regprocedure
  to_regrole to_regtype

  col_description format_type has_any_column_privilege has_column_privilege has_database_privilege has_function_privilege
  has_schema_privilege has_sequence_privilege has_table_privilege obj_description pg_column_compression pg_column_size pg_database_size
  pg_encoding_to_char pg_function_is_visible pg_get_constraintdef pg_get_expr pg_get_function_arguments
  pg_get_function_identity_arguments pg_get_function_result pg_get_functiondef pg_get_indexdef pg_get_keywords pg_get_partkeydef
  pg_get_ruledef pg_get_serial_sequence pg_get_triggerdef pg_get_userbyid pg_get_viewdef pg_has_role pg_indexes_size pg_relation_filenode
  pg_relation_size pg_size_bytes pg_size_pretty pg_table_is_visible pg_table_size pg_tablespace_size pg_total_relation_size
  pg_type_is_visible shobj_description

  currval lastval nextval setval pg_notify pg_sleep pg_sleep_for pg_sleep_until
  pg_advisory_xact_lock pg_advisory_xact_lock_shared pg_try_advisory_xact_lock pg_try_advisory_xact_lock_shared
  pg_current_snapshot pg_current_wal_insert_lsn pg_current_wal_lsn pg_current_xact_id pg_current_xact_id_if_assigned pg_last_wal_receive_lsn
  pg_last_wal_replay_lsn pg_last_xact_replay_timestamp pg_snapshot_xmax pg_snapshot_xmin pg_visible_in_snapshot pg_wal_lsn_diff
  pg_xact_commit_timestamp pg_xact_status txid_current txid_current_if_assigned txid_current_snapshot txid_snapshot_xmax
  txid_snapshot_xmin txid_status txid_visible_in_snapshot
`);

/** Session advisory locks, taken and given back. */
export const SESSION_LOCKS: ReadonlySet<string> = words(`
  pg_advisory_lock pg_advisory_lock_shared pg_try_advisory_lock pg_try_advisory_lock_shared
`);
export const SESSION_UNLOCKS: ReadonlySet<string> = words(
  'pg_advisory_unlock pg_advisory_unlock_shared pg_advisory_unlock_all',
);

/** Keywords that no function, type, table or alias can be named by without quotes. */
export const RESERVED: ReadonlySet<string> = words(`
  all analyse analyze and any array as asc asymmetric both case cast check collate column constraint create current_catalog
  current_date current_role current_time current_timestamp current_user default deferrable desc distinct do else end except false fetch
  for foreign from grant group having in initially intersect into lateral leading limit localtime localtimestamp not null offset on only
  or order placing primary references returning select session_user some symmetric table then to trailing true union unique user using
  variadic when where window with
`);

/**
 * Keywords that no function can be named by without quotes: the server's own expressions and types. `treat` is not among them: it calls
 * whatever function has the name of its type.
 */
export const NO_FUNCTION: ReadonlySet<string> = words(`
  between bigint bit boolean char character coalesce dec decimal exists extract float greatest grouping int integer interval json
  json_array json_arrayagg json_exists json_object json_objectagg json_query json_scalar json_serialize json_table json_value least
  merge_action national nchar normalize nullif numeric overlay position precision real row smallint substring time timestamp trim values
  varchar xmlattributes xmlconcat xmlelement xmlexists xmlforest xmlnamespaces xmlparse xmlpi xmlroot xmlserialize xmltable
`);
