CREATE TABLE "readings" (
	"id" bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY (sequence name "readings_id_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"sensor" text NOT NULL,
	"celsius" double precision NOT NULL,
	"taken_at" timestamp with time zone DEFAULT now() NOT NULL
);
